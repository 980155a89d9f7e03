/* Words for each class of reasons: who set what was expected, and what the reader can do. */
#include "attest/attest.h"

#define POLICY "the policy"
#define VENDOR "the vendor's certificates"
#define COLLATERAL "the collateral"
#define FORMAT "the format of this evidence"
#define PLATFORM "the vendor's TCB information and the policy"

static const clo_attest_advice advice[] = {
    {"malformed", FORMAT, "check that the file is whole and of the type that you named; ask the attester for fresh evidence"},
    {"bad_signature", VENDOR, "the evidence was changed, or is of another key; ask for fresh evidence and for the certificates that belong to it"},
    {"bad_chain", VENDOR, "send the certificates in one chain up to the vendor's root, as the vendor's service gives them"},
    {"wrong_root", VENDOR, "evidence must chain to a root that the policy pins; for the software TEE pin its root (roots) in the agreement"},
    {"expired", VENDOR, "fetch current certificates, and compare the clock of this machine with the log's"},
    {"not_yet_valid", VENDOR, "compare the clock of this machine with the log's"},
    {"revoked", VENDOR, "move the run to a machine whose certificates stand"},
    {"key_binding", VENDOR, "the signing key does not belong to this evidence: send the certificates of the machine that made it"},
    {"bad_key", VENDOR, "the key that was given is not usable for this evidence; give the attester's public key"},
    {"unknown_key", COLLATERAL, "fetch the issuer's current keys (its /certs), and give them as collateral jwks"},
    {"collateral_missing", POLICY, "send the certificates and the revocation list along with the evidence"},
    {"collateral_expired", COLLATERAL, "fetch the current revocation list"},
    {"collateral_not_yet_valid", COLLATERAL, "compare the clock of this machine with the log's"},
    {"bad_collateral_signature", COLLATERAL, "the collateral was changed on its way: fetch it again from the vendor, byte for byte"},
    {"fmspc_mismatch", COLLATERAL, "fetch the TCB information of this very platform (its FMSPC)"},
    {"evaluation_number", POLICY, "fetch current TCB information: what was given is older than the policy allows"},
    {"tcb_mismatch", VENDOR, "fetch the certificate for the TCB that the report states"},
    {"tcb_too_low", POLICY, "update the firmware of the machine, or move the run to one that is up to date"},
    {"tcb_status", PLATFORM, "update the machine's firmware and microcode, or name this status in accept_tcb_status"},
    {"tcb_not_supported", PLATFORM, "the vendor does not support this TCB level any more: update the machine"},
    {"tcb_date", POLICY, "update the machine: its TCB level is older than the policy allows"},
    {"advisory", POLICY, "fix what the advisory names, or list it in accepted_advisories"},
    {"provisional_firmware", POLICY, "commit the firmware (SNP_COMMIT) so that the host cannot roll it back"},
    {"simulated", POLICY, "run on confidential hardware, or let every party sign an agreement that says allow_simulated: true"},
    {"debug", POLICY, "start the guest without the debug policy bit"},
    {"vmpl", POLICY, "ask for the report from a more privileged level of the guest, or raise vmpl_max"},
    {"migration", POLICY, "start the guest without a migration agent"},
    {"platform_policy", "the guest's own launch policy", "run on a machine that is set up as the guest's launch policy asks"},
    {"chip_id_mismatch", VENDOR, "send the certificate of the chip that made the report"},
    {"chip_not_allowed", POLICY, "run on a listed processor, or add this one to chips"},
    {"report_data_mismatch", POLICY, "ask for fresh evidence over this nonce and these keys; evidence of another run or session is never accepted"},
    {"nonce_mismatch", POLICY, "ask for fresh evidence over this nonce; evidence of another exchange is never accepted"},
    {"stale", POLICY, "ask for fresh evidence: this one is older than max_age_seconds"},
    {"measurement_mismatch", POLICY, "start the program that the agreement names, or amend the agreement with the new measurement (cloister measure)"},
    {"host_data_mismatch", POLICY, "start the runtime for this very workload: its digest is fixed at launch"},
    {"id_key_mismatch", POLICY, "start the guest with an ID block signed by an allowed key"},
    {"author_key_mismatch", POLICY, "start the guest with an author key that is allowed"},
    {"pcr_digest_mismatch", "the quote", "send the PCR values that were there when the quote was made"},
    {"event_log_mismatch", "the quote", "send the event log of this boot, whole and unchanged"},
    {"claims", FORMAT, "look at the claims (cloister attest inspect): one is missing or not what this type demands"},
    {"forbidden_alg", "this verifier", "tokens are signed with public keys; \"none\" and shared keys are refused"},
    {"issuer_mismatch", POLICY, "name the service that you trust in expected_issuer, and send its token"},
    {"unsupported", "this verifier", "this form of evidence is not judged; see docs/attestation.md"},
    {"binding", POLICY, "give a nonce or report data, and evidence that is bound to it; a composite needs exactly the parts that the policy names"},
};
static const clo_attest_advice general = {"", "this verifier", "start a fresh runtime and attest again; if it fails again, the machine or its evidence is not trustworthy"};

const clo_attest_advice *clo_attest_advice_of(const char *reason)
{
    for (size_t i = 0; i < sizeof advice / sizeof advice[0]; i++) {
        if (strcmp(advice[i].reason, reason) == 0) return &advice[i];
    }
    return &general;
}
