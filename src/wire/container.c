/* The head of every file of the product. */
#include "wire/container.h"

#include "base/clo_rd.h"

static const struct {
    char magic[9];
    const char *what;
} kinds[] = {
    {CLO_MAGIC_AGREEMENT, "an agreement"},
    {CLO_MAGIC_SEALED, "a sealed dataset"},
    {CLO_MAGIC_RECEIPT, "a receipt"},
    {CLO_MAGIC_OUTPUT, "a sealed output"},
    {CLO_MAGIC_IDENTITY, "an identity (secret key)"},
    {CLO_MAGIC_PARTY, "a party (public key)"},
    {CLO_MAGIC_TABLE, "a table"},
    {CLO_MAGIC_MODEL, "a model"},
};

static const char *kind_of(const uint8_t *magic)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (memcmp(kinds[i].magic, magic, 8) == 0) return kinds[i].what;
    return NULL;
}

clo_err clo_wire_container_put(clo_buf *out, const char magic[8], uint32_t version)
{
    uint8_t *at = NULL;
    CLO_TRY(clo_buf_reserve(out, CLO_CONTAINER_HEAD, &at)); /* all or nothing */
    CLO_TRY(clo_buf_put(out, magic, 8));
    CLO_TRY(clo_buf_put_u32be(out, version));
    return clo_buf_put_u32be(out, 0);
}

clo_err clo_wire_container_open(clo_span file, const char magic[8], uint32_t version_max, uint32_t *version, clo_span *body)
{
    const char *wanted = kind_of((const uint8_t *)magic);
    if (wanted == NULL) wanted = "what is expected";
    clo_rd r = clo_rd_init(file);
    const uint8_t *found = clo_rd_bytes(&r, 8);
    CLO_CHECKF(found != NULL, CLO_E_TRUNCATED, "the file has %zu bytes, too short for %s; fetch it again", file.n, wanted);
    if (memcmp(found, magic, 8) != 0) {
        const char *other = kind_of(found);
        if (other == NULL) return CLO_FAILF(CLO_E_MALFORMED, "the file is not %s; check that it is the right file", wanted);
        return CLO_FAILF(CLO_E_MALFORMED, "the file is %s, not %s; check that it is the right file", other, wanted);
    }
    uint32_t v = clo_rd_u32be(&r);
    uint32_t flags = clo_rd_u32be(&r);
    CLO_CHECKF(!r.bad, CLO_E_TRUNCATED, "the file ends within its head; fetch it again");
    CLO_CHECKF(v >= 1 && v <= version_max, CLO_E_VERSION,
               "the file has version %u of %s, this program knows 1 to %u; use a matching program", v, wanted, version_max);
    CLO_CHECKF(flags == 0, CLO_E_UNSUPPORTED, "the file has unknown flags 0x%x; use a newer program", flags);
    if (version != NULL) *version = v;
    *body = clo_rd_span(&r, r.left);
    return CLO_OK;
}
