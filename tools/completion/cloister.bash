# bash completion of cloister; made by: cloister completion bash
_cloister()
{
    local current="${COMP_WORDS[COMP_CWORD]}" noun="${COMP_WORDS[1]}" words=""
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="demo init status console explain party dataset agreement run output receipt attest measure key budget dp model audit completion"
    elif [ "$COMP_CWORD" -eq 2 ] && [ "${current#-}" = "$current" ]; then
        case "$noun" in
        party) words="new show export import" ;;
        dataset) words="seal push list show verify rekey" ;;
        agreement) words="new check show diff sign submit status stop resume terminate list" ;;
        run) words="start list show watch cancel" ;;
        output) words="open list" ;;
        receipt) words="verify compare show fetch list" ;;
        attest) words="verify inspect policy collect fetch publish bundle" ;;
        key) words="list show import disable enable revoke destroy rotate" ;;
        budget) words="list set" ;;
        dp) words="epsilon calibrate sample" ;;
        model) words="train evaluate predict show" ;;
        audit) words="ledger log" ;;
        completion) words="bash" ;;
        esac
    elif [ "${current#-}" != "$current" ]; then
        case "$noun ${COMP_WORDS[2]}" in
        "demo "*) words=" --keep --attacks" ;;
        "init "*) words=" --operator --kms" ;;
        "party export") words=" --out" ;;
        "dataset seal") words=" --schema --set --name --kms --threads --chunk-size" ;;
        "dataset push") words=" --without-key" ;;
        "dataset list") words=" --local" ;;
        "dataset rekey") words=" --schema --set --name --kms --threads --chunk-size" ;;
        "agreement new") words=" --out" ;;
        "agreement sign") words=" --out" ;;
        "run start") words=" --param --watch --request-out --request" ;;
        "run list") words=" --agreement" ;;
        "output open") words=" --out --format" ;;
        "receipt verify") words=" --roots" ;;
        "receipt fetch") words=" --out" ;;
        "attest verify") words=" --type --evidence --collateral --at --nonce --policy" ;;
        "attest inspect") words=" --type --evidence --collateral --at --nonce --policy" ;;
        "attest policy") words=" --against --type --collateral --at --authority" ;;
        "attest collect") words=" --tee --nonce --out --list --tpm" ;;
        "attest fetch") words=" --nonce --out --type --evidence --out-dir --from --product --at" ;;
        "attest bundle") words=" --version-number --days --out --show" ;;
        "measure "*) words=" --tee --explain --agreement --kernel --initrd --cmdline --vcpus --vcpu-type --guest-features --vmm --firmware-digest --two-pass --event-log" ;;
        "budget list") words=" --agreement" ;;
        "dp epsilon") words=" --mechanism --sigma --scale --epsilon --delta --steps --sampling-rate --accountant --count" ;;
        "dp calibrate") words=" --mechanism --sigma --scale --epsilon --delta --steps --sampling-rate --accountant --count" ;;
        "dp sample") words=" --mechanism --sigma --scale --epsilon --delta --steps --sampling-rate --accountant --count" ;;
        "model train") words=" --data --schema --set --target --kind --model --epsilon --delta --folds --steps --out" ;;
        "model evaluate") words=" --data --schema --set --target --kind --model --epsilon --delta --folds --steps --out" ;;
        "model predict") words=" --data --schema --set --target --kind --model --epsilon --delta --folds --steps --out" ;;
        "audit log") words=" --key" ;;
        esac
        words="$words --home --server --pin --json --quiet --help --version"
    fi
    # shellcheck disable=SC2207
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    if [ ${#COMPREPLY[@]} -eq 0 ]; then
        # shellcheck disable=SC2207
        COMPREPLY=($(compgen -f -- "$current"))
    fi
}
complete -o filenames -F _cloister cloister
