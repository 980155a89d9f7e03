/* Attacks on the wire: evidence and nonces used again, sessions relayed, somebody in the middle. */
#include "cli/demo_attacks.h"

#include "crypto/hash.h"

static const clo_collab_member *member_at(const demo_attacker *t, size_t i)
{
    return clo_collab_agreement_member(t->loot.agreement, demo_hospitals[i]);
}

/* All that the operator saw of the finished run, as a message to a key service. */
static void recorded(const demo_attacker *t, clo_collab_release_request *r)
{
    const clo_collab_receipt *seen = t->receipt;
    memset(r, 0, sizeof *r);
    r->agreement_file = seen->agreement_file;
    r->agreement_proof = seen->agreement_proof;
    r->request = seen->request;
    r->manifest_count = DEMO_HOSPITALS;
    for (size_t i = 0; i < DEMO_HOSPITALS; i++) r->manifests[i] = t->loot.manifests[i];
    r->binding = seen->binding;
    r->evidence = seen->evidence;
}

/* Send it on the attacker's own session with hospital-a's key service. */
static clo_err send(demo_attacker *t, clo_collab_release_request *r, bool prove, demo_refusal *out)
{
    demo_channel ch;
    CLO_TRY(demo_channel_open(&ch, &t->leaf, member_at(t, 0)));
    clo_err e = prove ? demo_channel_prove(&ch, &t->leaf, r) : CLO_OK;
    if (!clo_failed(e)) e = demo_channel_release(&ch, r, out);
    demo_channel_close(&ch);
    return e;
}

static void claim_own_keys(const demo_attacker *t, clo_collab_release_request *r)
{
    memcpy(r->binding.leaf_spki, t->leaf.spki, 32);
    memcpy(r->binding.sign, t->leaf.sign_public, 32);
}

static clo_err fresh_nonces(demo_attacker *t, clo_collab_binding *b)
{
    for (size_t i = 0; i < DEMO_HOSPITALS; i++) {
        demo_channel ch;
        CLO_TRY(demo_channel_open(&ch, &t->leaf, member_at(t, i)));
        clo_err e = demo_channel_nonce(&ch, b->nonces[i].bytes);
        demo_channel_close(&ch);
        CLO_TRY(e);
    }
    b->nonce_count = DEMO_HOSPITALS;
    return CLO_OK;
}

clo_err demo_attack_replay(demo_attacker *t)
{
    demo *d = t->d;
    demo_refusal no;
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(d->a, sizeof(clo_collab_release_request), &memory));
    clo_collab_release_request *r = memory;
    demo_attack_title(t, "Evidence and nonce used again");
    demo_say(d, "   The whole message of the finished statistics run is sent again to hospital-a's key service, over the "
                "attacker's own TLS session.");
    recorded(t, r);
    CLO_TRY(send(t, r, true, &no));
    CLO_TRY(demo_attack_explain(t, "hospital-a", no.id, "nonce."));
    demo_say(d, "   Again, with fresh nonces and the attacker's own keys beside the old evidence:");
    CLO_TRY(fresh_nonces(t, &r->binding));
    claim_own_keys(t, r);
    CLO_TRY(send(t, r, true, &no));
    CLO_TRY(demo_attack_explain(t, "hospital-a", no.id, "evidence.report_data"));
    demo_held(d, "refused twice: a nonce counts once, and evidence holds for nothing but what it was made for");
    return CLO_OK;
}

/* ---- relay ---- */

/* Called with evidence that a genuine runtime has just made, and that no key service has seen yet. */
static clo_err relay(demo_host *h, const clo_enclave_evidence *m)
{
    demo_attacker *t = h->context;
    demo *d = t->d;
    demo_refusal no;
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(d->a, sizeof(clo_collab_release_request), &memory));
    clo_collab_release_request *r = memory;
    recorded(t, r);
    r->request = h->request;
    r->binding = m->binding;
    r->evidence = m->evidence;
    CLO_TRY(send(t, r, true, &no));
    CLO_TRY(demo_attack_explain(t, "hospital-a", no.id, "channel.leaf"));
    demo_say(d, "   Again, with the attacker's leaf named in the message:");
    memcpy(r->binding.leaf_spki, t->leaf.spki, 32);
    CLO_TRY(send(t, r, true, &no));
    CLO_TRY(demo_attack_explain(t, "hospital-a", no.id, "channel.binding"));
    demo_say(d, "   Again, with the attacker's signing key, too:");
    claim_own_keys(t, r);
    CLO_TRY(send(t, r, true, &no));
    return demo_attack_explain(t, "hospital-a", no.id, "evidence.report_data");
}

static clo_err in_the_middle(demo_attacker *t, clo_span request)
{
    demo *d = t->d;
    demo_impostor impostor;
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(d->a, sizeof(demo_host), &memory));
    demo_host *h = memory;
    demo_say(d, "   And from the other side: the runtime's tunnel to hospital-a leads to a TLS server with the attacker's key.");
    demo_host_prepare(h, &t->loot, request);
    CLO_TRY(demo_impostor_start(&impostor, &t->leaf));
    h->detour_owner = demo_hospitals[0];
    h->detour_port = impostor.port;
    clo_err e = demo_host_run(h);
    demo_impostor_stop(&impostor);
    CLO_TRY(e);
    CLO_CHECKF(impostor.connected, CLO_E_CONFLICT, "the runtime never came to the server in the middle");
    CLO_CHECKF(!impostor.completed, CLO_E_CONFLICT,
               "THE ATTACK WORKED: the runtime took the attacker for hospital-a's key service");
    return demo_attack_host(t, h, "tls.server.spki");
}

clo_err demo_attack_relay(demo_attacker *t)
{
    demo *d = t->d;
    clo_span request;
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(d->a, sizeof(demo_host), &memory));
    demo_host *h = memory;
    demo_attack_title(t, "A relayed session");
    demo_say(d,
             "   A genuine runtime makes fresh evidence; its host withholds it and sends it itself, over its own TLS session.");
    CLO_TRY(demo_request_sign(d, t->loot.agreement, "statistics", &request));
    demo_host_prepare(h, &t->loot, request);
    h->on_evidence = relay;
    h->context = t;
    CLO_TRY(demo_host_run(h));
    CLO_CHECKF(h->cancel, CLO_E_CONFLICT, "the runtime made no evidence: %s", h->failed.text);
    CLO_TRY(in_the_middle(t, request));
    demo_held(d, "refused four times: evidence speaks for one TLS session, and the runtime knows the key services by their keys");
    return CLO_OK;
}
