/* Written by hand instead of through the tree, so that the content is copied once and nowhere else. */
#include "enclave/output_plain.h"

enum { PAD_MIN = 4096, CBOR_BYTES = 2, CBOR_TEXT = 3, CBOR_MAP = 5 };

static size_t head_size(size_t n) { return n < 24 ? 1 : n < 256 ? 2 : n < 65536 ? 3 : 5; }

static clo_err put_head(clo_buf *out, unsigned major, size_t n)
{
    uint8_t first = (uint8_t)(major << 5);
    if (n < 24) return clo_buf_put_u8(out, (uint8_t)(first | n));
    if (n < 256) {
        CLO_TRY(clo_buf_put_u8(out, (uint8_t)(first | 24)));
        return clo_buf_put_u8(out, (uint8_t)n);
    }
    if (n < 65536) {
        CLO_TRY(clo_buf_put_u8(out, (uint8_t)(first | 25)));
        return clo_buf_put_u16be(out, (uint16_t)n);
    }
    CLO_CHECK(n <= UINT32_MAX, CLO_E_TOO_LARGE);
    CLO_TRY(clo_buf_put_u8(out, (uint8_t)(first | 26)));
    return clo_buf_put_u32be(out, (uint32_t)n);
}

static clo_err put_text(clo_buf *out, const char *text)
{
    CLO_TRY(put_head(out, CBOR_TEXT, strlen(text)));
    return clo_buf_put_str(out, text);
}

static size_t item_size(size_t n) { return head_size(n) + n; }

/* The pad that makes the whole `target` bytes long; false where no length fits (the head of the pad grows in steps). */
static bool pad_find(size_t without_pad, size_t target, size_t *pad)
{
    for (size_t head = 1; head <= 5; head++) {
        if (without_pad + head > target) return false;
        size_t n = target - without_pad - head;
        if (head_size(n) != head) continue;
        *pad = n;
        return true;
    }
    return false;
}

clo_err clo_enclave_output_plain(const char *kind, const char *name, const char *media_type, clo_span content, clo_buf *out)
{
    size_t size = 1 + item_size(3) + item_size(4) + item_size(strlen(kind)) + item_size(4) + item_size(strlen(name)) + item_size(7) +
                  item_size(content.n) + item_size(10) + item_size(strlen(media_type));
    size_t target = PAD_MIN, pad = 0;
    CLO_CHECK(content.n <= out->max, CLO_E_TOO_LARGE);
    while (!pad_find(size, target, &pad)) {
        CLO_CHECK(target <= out->max, CLO_E_TOO_LARGE);
        target *= 2;
    }
    uint8_t *at = NULL;
    CLO_TRY(clo_buf_reserve(out, target, &at));
    /* Members in the order of their encoded keys: shorter first, then bytewise. */
    CLO_TRY(put_head(out, CBOR_MAP, 5));
    CLO_TRY(put_text(out, "pad"));
    CLO_TRY(put_head(out, CBOR_BYTES, pad));
    CLO_TRY(clo_buf_reserve(out, pad, &at));
    if (pad != 0) memset(at, 0, pad);
    out->len += pad;
    CLO_TRY(put_text(out, "kind"));
    CLO_TRY(put_text(out, kind));
    CLO_TRY(put_text(out, "name"));
    CLO_TRY(put_text(out, name));
    CLO_TRY(put_text(out, "content"));
    CLO_TRY(put_head(out, CBOR_BYTES, content.n));
    CLO_TRY(clo_buf_put_span(out, content));
    CLO_TRY(put_text(out, "media_type"));
    CLO_TRY(put_text(out, media_type));
    CLO_CHECK(out->len == target, CLO_E_BUG);
    return CLO_OK;
}
