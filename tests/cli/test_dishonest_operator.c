/* Proves, against a server that answers as it likes: an agreement that was asked for by its id is that agreement or a refusal (also before it is
 * signed, or kept); no text of a server steers the terminal or adds a line to an error; lists are shown with all their pages, and pages
 * without end are an error. */
#include "cli_fixture.h"

#include "gateway/config.h"
#include "gateway/server.h"

#include <string.h>

#define ASKED "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define RUN "00112233445566778899aabbccddeeff"

static struct {
    char dir[256], server[200];
    clo_crypto_tls_context *tls;
    clo_gateway_server *gateway;
    clo_buf agreement;
} place;

static clo_err json(clo_gateway_response *response, const char *text)
{
    return clo_gateway_response_bytes(response, "application/json", clo_span_str(text));
}

static clo_err agreements(void *context, clo_gateway_request *request, clo_gateway_response *response)
{
    (void)context;
    (void)request;
    return json(response, "{\"agreements\":[{\"id\":\"" ASKED "\",\"title\":\"t\",\"epoch\":1,\"state\":\"active\",\"not_after\":\"\"}],\"next\":null}");
}

static clo_err agreement_file(void *context, clo_gateway_request *request, clo_gateway_response *response)
{
    (void)context;
    (void)request;
    return clo_gateway_response_bytes(response, "application/octet-stream", clo_buf_span(&place.agreement));
}

static clo_err one_run(void *context, clo_gateway_request *request, clo_gateway_response *response)
{
    (void)context;
    (void)request;
    return json(response, "{\"id\":\"" RUN "\",\"run\":\"r\\u001b[2J\",\"state\":\"done\\nstate     all is well\",\"text\":\"a\\u009b31mb\\u202ec\"}");
}

/* Three pages; with ?agreement= there is no end. */
static clo_err runs(void *context, clo_gateway_request *request, clo_gateway_response *response)
{
    (void)context;
    const char *cursor = NULL, *agreement = NULL;
    CLO_TRY(clo_gateway_request_query(request, "cursor", &cursor));
    CLO_TRY(clo_gateway_request_query(request, "agreement", &agreement));
    if (agreement != NULL) return json(response, "{\"runs\":[],\"next\":\"5\"}");
    if (cursor == NULL) return json(response, "{\"runs\":[{\"id\":\"one\"}],\"next\":\"9\"}");
    if (strcmp(cursor, "9") == 0) return json(response, "{\"runs\":[{\"id\":\"two\\nthree\"}],\"next\":\"4\"}");
    return json(response, "{\"runs\":[{\"id\":\"four\"}],\"next\":null}");
}

static clo_err refuse(void *context, clo_gateway_request *request, clo_gateway_response *response)
{
    (void)context;
    (void)request;
    clo_gateway_response_status(response, 403);
    return clo_gateway_response_bytes(response, "application/problem+json",
                                      clo_span_str("{\"code\":\"denied\",\"detail\":\"no\\u001b[2J\\ncloister: it worked\",\"instance\":\"urn:request:\\u001b]0;x\"}"));
}

static const clo_gateway_route routes[] = {
    {.method = CLO_GATEWAY_GET, .path = "/api/v1/agreements", .handler = agreements},
    {.method = CLO_GATEWAY_GET, .path = "/api/v1/agreements/{id}/file", .handler = agreement_file},
    {.method = CLO_GATEWAY_POST, .path = "/api/v1/agreements", .body_max = 1 << 20, .handler = one_run},
    {.method = CLO_GATEWAY_GET, .path = "/api/v1/runs/{id}", .handler = one_run},
    {.method = CLO_GATEWAY_GET, .path = "/api/v1/runs", .handler = runs},
    {.method = CLO_GATEWAY_GET, .path = "/api/v1/receipts/{id}", .handler = refuse},
};

static void read_agreement(void)
{
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, 1 << 20);
    clo_buf_init(&place.agreement, 1 << 20);
    assert_ok(clo_os_file_read("tests/collab/golden/agreement.hex", 1 << 20, &text));
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        if (text.p[i] != '\n') text.p[n++] = text.p[i];
    uint8_t *at = NULL;
    assert_ok(clo_buf_reserve(&place.agreement, n / 2, &at));
    assert_ok(clo_hex_decode(at, n / 2, clo_span_of(text.p, n)));
    place.agreement.len = n / 2;
}

static int start(void **state)
{
    (void)state;
    uint8_t spki[32];
    char hex[65];
    read_agreement();
    assert_ok(clo_os_dir_temporary("cloister-dishonest-", place.dir));
    assert_ok(clo_gateway_identity_open(place.dir, "test", 1780000000, false, &place.tls, spki));
    const clo_gateway_options o = {.name = "test", .tls = place.tls, .http2 = true, .routes = routes, .route_count = sizeof routes / sizeof routes[0]};
    assert_ok(clo_gateway_server_start(&place.gateway, &o));
    clo_hex_encode(hex, clo_span_of(spki, sizeof spki));
    (void)snprintf(place.server, sizeof place.server, "--server https://127.0.0.1:%u --pin %s", (unsigned)clo_gateway_server_port(place.gateway), hex);
    return 0;
}

static int end(void **state)
{
    (void)state;
    clo_gateway_server_stop(&place.gateway, 100);
    clo_crypto_tls_context_free(&place.tls);
    clo_buf_free(&place.agreement);
    assert_ok(clo_os_tree_remove(place.dir));
    return 0;
}

static int with_party(void **state)
{
    assert_int_equal(setup(state), 0);
    expect(*state, "party new analyst", 0);
    return 0;
}

static void ask(fixture *f, const char *line, int code)
{
    char whole[600];
    (void)snprintf(whole, sizeof whole, "%s %s", place.server, line);
    expect(f, whole, code);
}

static void another_agreement_than_asked_for(void **state)
{
    fixture *f = *state;
    static const char *const lines[] = {"agreement show " ASKED, "agreement sign " ASKED, "agreement check 0011", "agreement stop 00112233",
                                        "run start " ASKED " statistics"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        ask(f, lines[i], 1);
        expect_error(f, "agreement.id");
    }
    /* What comes back from a submission is kept only where it is what was submitted. */
    assert_ok(clo_os_file_write_atomic(path_in(f, "mine.agreement"), clo_buf_span(&place.agreement), 0600));
    ask(f, "agreement submit @mine.agreement", 0);
}

static void no_text_steers_the_terminal(void **state)
{
    fixture *f = *state;
    ask(f, "run show " RUN, 0);
    assert_null(strchr(f->out, 0x1b));
    assert_null(strstr(f->out, "\xc2\x9b"));
    assert_null(strstr(f->out, "\xe2\x80\xae"));
    assert_non_null(strstr(f->out, "state     done state"));
    ask(f, "receipt fetch " RUN, 1);
    expect_error(f, "no?[2J?cloister: it worked");
    assert_null(strchr(f->err, 0x1b));
}

static void lists_have_all_their_pages(void **state)
{
    fixture *f = *state;
    ask(f, "run list --json", 0);
    const clo_wire_node *list = clo_wire_get(document(f), "runs");
    assert_non_null(list);
    assert_int_equal(list->count, 3);
    assert_string_equal(text(list->first, "id"), "one");
    assert_string_equal(text(list->first->next->next, "id"), "four");
    ask(f, "run list", 0);
    assert_non_null(strstr(f->out, "two three"));
    ask(f, "run list --agreement " ASKED, 4);
    expect_error(f, "pages");
}

/* Key services explain to whoever has the id: a home without a party may ask them. */
static void explaining_needs_no_party(void **state)
{
    fixture *f = *state;
    ask(f, "explain " RUN, 3);
    expect_error(f, "nothing is known under " RUN);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, with_party, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {TEST(another_agreement_than_asked_for), TEST(no_text_steers_the_terminal), TEST(lists_have_all_their_pages),
                                       cmocka_unit_test_setup_teardown(explaining_needs_no_party, setup, teardown)};
    return cmocka_run_group_tests_name("dishonest operator", tests, start, end);
}
