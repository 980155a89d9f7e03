/* Any text as TCB info or QE identity: what is read lies inside the text, and the evaluation of whatever was read ends. */
#include "attest/dcap_int.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static clo_span text;

static void inside(clo_span s)
{
    if (s.n != 0 && (s.p < text.p || s.n > text.n - (size_t)(s.p - text.p))) abort();
}

static void levels_inside(const dcap_svn_levels *l)
{
    if (l->count > DCAP_SVN_LEVELS_MAX) abort();
    for (size_t i = 0; i < l->count; i++) inside(l->level[i].verdict.advisories);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static dcap_tcb_info info;
    static dcap_qe_identity qe;
    clo_span body = {NULL, 0};
    uint8_t signature[64], svn[16] = {4, 1, 5};
    dcap_pck pck = {.pce_svn = 11};
    dcap_evaluation e;
    text = clo_span_of(data, size);
    memset(pck.components, 9, sizeof pck.components);
    if (!clo_failed(clo_attest_dcap_document(text, "tcbInfo", &body, signature))) inside(body);
    bool have_info = !clo_failed(clo_attest_dcap_tcb_info(body.n != 0 ? body : text, &info));
    if (!clo_failed(clo_attest_dcap_document(text, "enclaveIdentity", &body, signature))) inside(body);
    bool have_qe = !clo_failed(clo_attest_dcap_qe_identity(body.n != 0 ? body : text, &qe));
    if (have_qe) levels_inside(&qe.levels);
    if (!have_info) return 0;
    if (info.level_count > DCAP_LEVELS_MAX || info.modules.count > DCAP_MODULES_MAX) abort();
    for (size_t i = 0; i < info.level_count; i++) inside(info.levels[i].verdict.advisories);
    for (size_t i = 0; i < info.modules.count; i++) levels_inside(&info.modules.module[i].levels);
    clo_attest_dcap_evaluate(&info, have_qe ? &qe : NULL, &pck, 5, info.tdx ? svn : NULL, &e);
    inside(e.platform.advisories);
    inside(e.module_verdict.advisories);
    return 0;
}
