/* Every command of the program, once. */
#include "cli/cli_int.h"

#define NO_OPTIONS NULL
#define END                                                                                                                      \
    {                                                                                                                            \
        NULL, NULL, NULL                                                                                                         \
    }

const clo_cli_option clo_cli_common_options[] = {
    {"--home", "DIR", "the party's files (default $CLOISTER_HOME or ~/.cloister)"},
    {"--server", "URL", "the operator, instead of the one in the home"},
    {"--pin", "HEX", "SHA-256 of its TLS key (with --server)"},
    {"--json", NULL, "exactly one JSON document on standard output"},
    {"--quiet", NULL, "results only: no remarks, no progress bar, nothing from what only does something"},
    {"--help", NULL, "this text"},
    {"--version", NULL, "the version"},
    END,
};

static const clo_cli_option demo_options[] = {
    {"--keep", "DIR", "work in DIR (must not exist) and leave everything there"},
    {"--attacks", NULL, "carry out the eight attacks, too"},
    END,
};
static const clo_cli_option init_options[] = {
    {"--operator", "FILE.json", "what `cloisterd init` printed; or give --server and --pin, and it is fetched"},
    {"--kms", "FILE.json", "what `cloister-kms init` printed (data owners)"},
    END,
};
static const clo_cli_option out_options[] = {{"--out", "FILE", "where to write it"}, END};
static const clo_cli_option seal_options[] = {
    {"--schema", "S.json", "columns, types, public bounds and codes (required)"},
    {"--set", "NAME", "which set of the schema file, where it has several"},
    {"--name", "N", "name of the dataset, as in the agreement (required)"},
    {"--kms", "FILE.json", "key service to seal the key to, where the home has none"},
    {"--threads", "N", "1 to 16 (default 2)"},
    {"--chunk-size", "BYTES", "default 65536"},
    END,
};
static const clo_cli_option push_options[] = {{"--without-key", NULL, "the key service has the key already"}, END};
static const clo_cli_option list_options[] = {{"--local", NULL, "only what lies in the home"}, END};
static const clo_cli_option start_options[] = {
    {"--param", "K=V", "a parameter that the program declares; may come several times"},
    {"--watch", NULL, "stay until it is over"},
    {"--request-out", "FILE", "also keep the signed request"},
    {"--request", "FILE", "send this signed request again instead of making one"},
    END,
};
static const clo_cli_option runs_options[] = {{"--agreement", "HEX", "only runs of this agreement"}, END};
static const clo_cli_option open_options[] = {
    {"--out", "FILE", "write the result there (default outputs/ID.*)"},
    {"--format", "json|csv", "of a table (default json)"},
    END,
};
static const clo_cli_option verify_options[] = {
    {"--roots", "DIR", "log.policy, *.der, *.party that you trust (default: the home's roots/)"}, END};
static const clo_cli_option attest_options[] = {
    {"--type", "TYPE", "snp, tdx, sgx, nitro, tpm, azure-vtpm, maa, gcp-confidential-space, nvidia-gpu, psa, cca, optee, composite, ear, sim, auto (default)"},
    {"--evidence", "[ROLE=]FILE", "a report, token, bundle or record (required); several for evidence of several parts"},
    {"--collateral", "[ROLE=]FILE", "certificates, lists, keys, TCB information; the role is guessed from the content"},
    {"--at", "RFC3339", "judge as of this time (default now)"},
    {"--nonce", "HEX", "what the evidence must be bound to: 1 to 64 bytes"},
    {"--policy", "FILE", "JSON policy object"},
    END,
};
static const clo_cli_option policy_options[] = {
    {"--against", "OLD", "dry-run: another policy, to see where they differ"},
    {"--type", "TYPE", "dry-run: of the evidence; export: snp, sgx, tdx or maa"},
    {"--collateral", "[ROLE=]FILE", "dry-run: for evidence that brings none"},
    {"--at", "RFC3339", "dry-run: judge as of this time (default: a record's own, else now)"},
    {"--authority", "URL", "export: whose tokens the release policy is for"},
    END,
};
static const clo_cli_option fetch_options[] = {
    {"--nonce", "HEX", "8 to 64 bytes (default: 32 random ones)"},
    {"--out", "FILE", "where to write the evidence"},
    {"--type", "sgx|tdx|snp", "instead: the vendor's collateral for --evidence, into --out-dir"},
    {"--evidence", "FILE", "collateral: the quote, report, bundle or record that it is for"},
    {"--out-dir", "DIR", "collateral: where to write its files, and the index.json for attest bundle"},
    {"--from", "URL", "collateral: https://host[:port] instead of Intel's or AMD's service; with --pin that key alone is trusted"},
    {"--product", "NAME", "snp: Milan, Genoa or Turin, where the report does not say (version 2)"},
    {"--at", "RFC3339", "collateral: judge what came as of this time (default now)"},
    END,
};
static const clo_cli_option bundle_options[] = {
    {"--version-number", "N", "of the bundle: higher than any before"},
    {"--days", "D", "how long it is good (default 30)"},
    {"--out", "FILE", "where to write the bundle"},
    {"--show", "HEX", "show a bundle that this key signed"},
    END,
};
static const clo_cli_option collect_options[] = {
    {"--tee", "TYPE", "sgx, nitro, tdx, snp, azure-vtpm, tpm, trustzone (default: the first of them that is here)"},
    {"--nonce", "HEX", "1 to 64 bytes, zeros behind them (default: 32 random ones)"},
    {"--out", "FILE", "where to write the evidence bundle"},
    {"--list", NULL, "say which of them are here, and what each protects"},
    {"--tpm", "TCTI", "tpm, azure-vtpm: another TPM than /dev/tpmrm0"},
    END,
};
static const clo_cli_option measure_options[] = {
    {"--tee", "TYPE", "sim (a program, default), snp or tdx (a firmware), nitro (an EIF), sgx (a signed enclave), tpm (an event log)"},
    {"--explain", NULL, "show what goes into each value"},
    {"--agreement", "FILE|ID", "sim, snp: the workload digests of its runs too"},
    {"--kernel", "FILE", "snp: measured direct boot"},
    {"--initrd", "FILE", "snp with --kernel; tdx with --cmdline"},
    {"--cmdline", "TEXT", "snp with --kernel; tdx: RTMR2 of a direct boot"},
    {"--vcpus", "N", "snp: processors (default 1)"},
    {"--vcpu-type", "MODEL", "snp: QEMU's model, or its CPUID signature as 0x… (default EPYC-v4)"},
    {"--guest-features", "0xN", "snp: SEV features (default 0x1)"},
    {"--vmm", "KIND", "snp: qemu (default), ec2, gce"},
    {"--firmware-digest", "HEX", "snp: launch digest of the whole firmware, of which PATH is the end"},
    {"--two-pass", NULL, "tdx: the VMM adds all pages before it measures them"},
    {"--event-log", "FILE", "tdx: RTMRs from the guest's log (CCEL)"},
    END,
};
static const clo_cli_option dp_options[] = {
    {"--mechanism", "M", "gaussian, laplace, discrete-gaussian, discrete-laplace (required)"},
    {"--sigma", "S", "noise of a Gaussian for sensitivity 1"},
    {"--scale", "B", "scale of a Laplace for sensitivity 1"},
    {"--epsilon", "E", "calibrate: what is wanted"},
    {"--delta", "D", "default 1e-6"},
    {"--steps", "T", "composition of T uses (default 1)"},
    {"--sampling-rate", "Q", "1 only: zCDP has no amplification by sampling"},
    {"--accountant", "zcdp", "the accountant of this version"},
    {"--count", "N", "sample: how many (default 1)"},
    END,
};
static const clo_cli_option model_options[] = {
    {"--data", "F.csv", "the rows (required)"},
    {"--schema", "S.json", "columns and public bounds; needed with --epsilon, else learned from the rows"},
    {"--set", "NAME", "which set of the schema file"},
    {"--target", "COL", "default: the schema's"},
    {"--kind", "logistic", "the kind of this version"},
    {"--model", "FILE", "evaluate, predict: the model"},
    {"--epsilon", "E", "train privately"},
    {"--delta", "D", "default 1e-6"},
    {"--folds", "K", "cross-validate: row i belongs to fold i mod K"},
    {"--steps", "T", "full-batch steps"},
    {"--out", "FILE", "where to write the model or the predictions"},
    END,
};
static const clo_cli_option audit_options[] = {{"--key", "VKEY", "verifier key of the log (required)"}, END};
static const clo_cli_option budget_options[] = {{"--agreement", "REF", "ask the key service of every owner in this agreement"},
                                                END};

const clo_cli_command clo_cli_commands[] = {
    {"demo", NULL, "", 0, 0, demo_options, "the whole story on this machine: three hospitals, an operator, an analyst",
     clo_cli_demo},
    {"init", NULL, "", 0, 0, init_options, "set up a home: which operator, which key service", clo_cli_init},
    {"status", NULL, "", 0, 0, NO_OPTIONS, "who you are, and how your servers are", clo_cli_status},
    {"console", NULL, "", 0, 0, NO_OPTIONS, "where the operator's API is described", clo_cli_console},
    {"explain", NULL, "ID", 1, 1, NO_OPTIONS, "why something was denied, as claim, expected, actual, source, remedy",
     clo_cli_explain},
    {"party", "new", "NAME", 1, 1, NO_OPTIONS, "make a party: its keys and its public file", clo_cli_party_new},
    {"party", "show", "[FILE.party]", 0, 1, NO_OPTIONS, "name and keys of a party", clo_cli_party_show},
    {"party", "export", "", 0, 0, out_options, "write the public file for the others", clo_cli_party_export},
    {"party", "import", "FILE.party", 1, 1, NO_OPTIONS, "remember another party under roots/", clo_cli_party_import},
    {"dataset", "seal", "FILE.csv", 1, 1, seal_options, "check rows and seal them, here, for your key service",
     clo_cli_dataset_seal},
    {"dataset", "push", "NAME|FILE.sealed", 1, 1, push_options,
     "entrust the key to your key service, upload the ciphertext; resumes", clo_cli_dataset_push},
    {"dataset", "list", "", 0, 0, list_options, "datasets that you may see", clo_cli_dataset_list},
    {"dataset", "show", "NAME|FILE.sealed", 1, 1, NO_OPTIONS, "the manifest", clo_cli_dataset_show},
    {"dataset", "verify", "NAME|FILE.sealed", 1, 1, NO_OPTIONS, "signature, size and Merkle root, without any key",
     clo_cli_dataset_verify},
    {"dataset", "rekey", "FILE.csv", 1, 1, seal_options, "seal again under a fresh key: a new version", clo_cli_dataset_rekey},
    {"agreement", "new", "TEMPLATE.yaml", 1, 1, out_options, "compile a template with its files into an agreement",
     clo_cli_agreement_new},
    {"agreement", "check", "TEMPLATE|AGREEMENT", 1, 1, NO_OPTIONS, "all checks, and which signatures are there",
     clo_cli_agreement_check},
    {"agreement", "show", "TEMPLATE|AGREEMENT", 1, 1, NO_OPTIONS, "what it says, in sentences", clo_cli_agreement_show},
    {"agreement", "diff", "OLD NEW", 2, 2, NO_OPTIONS, "what changes, and what each change widens", clo_cli_agreement_diff},
    {"agreement", "sign", "AGREEMENT", 1, 1, out_options, "add your signature", clo_cli_agreement_sign},
    {"agreement", "submit", "AGREEMENT", 1, 1, NO_OPTIONS, "register it with the operator (and its log) and your key service",
     clo_cli_agreement_submit},
    {"agreement", "status", "AGREEMENT", 1, 1, NO_OPTIONS, "its state at the operator and at your key service",
     clo_cli_agreement_status},
    {"agreement", "stop", "AGREEMENT", 1, 1, NO_OPTIONS, "suspend it at every key service; any one party may",
     clo_cli_agreement_stop},
    {"agreement", "resume", "AGREEMENT", 1, 1, NO_OPTIONS, "your word to go on; counts once every party has given it",
     clo_cli_agreement_resume},
    {"agreement", "terminate", "AGREEMENT", 1, 1, NO_OPTIONS, "end it for ever; any one party may", clo_cli_agreement_terminate},
    {"agreement", "list", "", 0, 0, NO_OPTIONS, "agreements of which you are a member", clo_cli_agreement_list},
    {"run", "start", "AGREEMENT RUN", 2, 2, start_options, "sign a run request and send it", clo_cli_run_start},
    {"run", "list", "", 0, 0, runs_options, "runs that you may see", clo_cli_run_list},
    {"run", "show", "ID", 1, 1, NO_OPTIONS, "one run", clo_cli_run_show},
    {"run", "watch", "ID", 1, 1, NO_OPTIONS, "follow it to its end", clo_cli_run_watch},
    {"run", "cancel", "ID", 1, 1, NO_OPTIONS, "end it; its starter and the owners of its data may", clo_cli_run_cancel},
    {"output", "open", "ID", 1, 1, open_options, "fetch the sealed result and the shares of its key, open it",
     clo_cli_output_open},
    {"output", "list", "", 0, 0, NO_OPTIONS, "results that you are a recipient of", clo_cli_output_list},
    {"receipt", "verify", "FILE", 1, 1, verify_options, "check a receipt offline, everything in it", clo_cli_receipt_verify},
    {"receipt", "compare", "FILE FILE", 2, 2, NO_OPTIONS, "do two receipts of one log belong to one history of it?", clo_cli_receipt_compare},
    {"receipt", "show", "FILE", 1, 1, NO_OPTIONS, "what it states (not whether it is true)", clo_cli_receipt_show},
    {"receipt", "fetch", "ID", 1, 1, out_options, "get the receipt of a run", clo_cli_receipt_fetch},
    {"receipt", "list", "", 0, 0, NO_OPTIONS, "runs with a receipt", clo_cli_receipt_list},
    {"attest", "verify", "", 0, 0, attest_options, "appraise evidence", clo_cli_attest_verify},
    {"attest", "inspect", "[ROLE=]FILE…", 1, CLI_ARGS_MAX, attest_options, "what evidence claims (not whether it is true)", clo_cli_attest_inspect},
    {"attest", "policy", "check|dry-run|diff|import|export FILE…", 2, CLI_ARGS_MAX, policy_options,
     "what a policy admits, on recorded evidence too, and what a change admits; Azure release policies", clo_cli_attest_policy},
    {"attest", "collect", "", 0, 0, collect_options, "fresh evidence of this machine", clo_cli_attest_collect},
    {"attest", "fetch", "", 0, 0, fetch_options, "fresh evidence of the operator's runtime, or a vendor's collateral for evidence", clo_cli_attest_fetch},
    {"attest", "publish", "policy NAME FILE.json | values NAME FILE.json | collateral FILE", 2, 3, NO_OPTIONS,
     "sign a policy or reference values for the operator's verifier, or install a bundle there", clo_cli_attest_publish},
    {"attest", "bundle", "DIR|FILE", 1, 1, bundle_options, "sign DIR/index.json and its files as a collateral bundle, or show one", clo_cli_attest_bundle},
    {"measure", NULL, "PATH", 1, 1, measure_options, "the measurement that evidence of this program or image will show", clo_cli_measure},
    {"key", "list", "", 0, 0, NO_OPTIONS, "keys at your key service", clo_cli_key_list},
    {"key", "show", "ID", 1, 1, NO_OPTIONS, "one key: of which dataset and version, its state", clo_cli_key_show},
    {"key", "import", "NAME", 1, 1, NO_OPTIONS, "entrust the key of a sealed dataset", clo_cli_key_import},
    {"key", "disable", "ID", 1, 1, NO_OPTIONS, "no release until enabled again", clo_cli_key_change},
    {"key", "enable", "ID", 1, 1, NO_OPTIONS, "allow releases again", clo_cli_key_change},
    {"key", "revoke", "ID", 1, 1, NO_OPTIONS, "no release ever again", clo_cli_key_change},
    {"key", "destroy", "ID", 1, 1, NO_OPTIONS, "erase it: the dataset cannot be opened any more", clo_cli_key_change},
    {"key", "rotate", "", 0, 0, NO_OPTIONS, "new key encryption key; every data key is wrapped anew", clo_cli_key_rotate},
    {"budget", "list", "", 0, 0, budget_options, "privacy budget of each dataset: limit, spent, left", clo_cli_budget_list},
    {"budget", "set", "DATASET RHO", 2, 2, NO_OPTIONS, "lifetime limit of a dataset at your key service, as rho (n or n/d)",
     clo_cli_budget_set},
    {"dp", "epsilon", "", 0, 0, dp_options, "epsilon of noise", clo_cli_dp_epsilon},
    {"dp", "calibrate", "", 0, 0, dp_options, "noise for an epsilon", clo_cli_dp_calibrate},
    {"dp", "sample", "", 0, 0, dp_options, "exact discrete noise, one integer a line", clo_cli_dp_sample},
    {"model", "train", "", 0, 0, model_options, "train on local rows with the runtime's engine", clo_cli_model_train},
    {"model", "evaluate", "", 0, 0, model_options, "accuracy and AUC of a model on local rows", clo_cli_model_evaluate},
    {"model", "predict", "", 0, 0, model_options, "probabilities for local rows", clo_cli_model_predict},
    {"model", "show", "FILE", 1, 1, NO_OPTIONS, "what a model file holds", clo_cli_model_show},
    {"audit", "ledger", "KMS.db", 1, 1, NO_OPTIONS, "check a key service's budget ledger, independently of it",
     clo_cli_audit_ledger},
    {"audit", "log", "DIR", 1, 1, audit_options, "recompute a transparency log and check its checkpoint", clo_cli_audit_log},
    {"completion", "bash", "", 0, 0, NO_OPTIONS, "the completion script of bash", clo_cli_completion},
};
const size_t clo_cli_command_count = sizeof clo_cli_commands / sizeof clo_cli_commands[0];
