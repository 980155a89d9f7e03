/* Proves `cloister measure` and `cloister attest collect` as people call them: published values come out, --explain tells what went in, one value
 * alone is one line, --json is one document, and wrong or missing inputs end with the right code and a sentence. */
#include "cli_fixture.h"

static void copy_golden(fixture *f, const char *name)
{
    char from[200];
    (void)snprintf(from, sizeof from, "tests/tee/golden/%s", name);
    assert_ok(clo_os_file_copy(from, path_in(f, name), 0600));
}

static const char digest[] = "ddc5224521617a536ee7ce9dd6224d1b58a8d4fda1c741f3ac99fc4bfa04ba6e9fc98646d4a07a9079397fa3852819b5";

static void snp_guests(void **state)
{
    fixture *f = *state;
    copy_golden(f, "ovmf_AmdSev_suffix.bin");
    copy_golden(f, "ovmf_OvmfX64_suffix.bin");
    write_text(f, "empty", "");
    expect(f, "measure @ovmf_AmdSev_suffix.bin --tee snp --kernel @empty", 0);
    assert_int_equal(strlen(f->out), 97);
    assert_memory_equal(f->out, digest, 96);
    expect(f, "measure @ovmf_AmdSev_suffix.bin --tee snp --kernel @empty --initrd @empty --vcpus 1 --vcpu-type EPYC-v4 --guest-features 0x1 --vmm qemu --json", 0);
    assert_string_equal(text(document(f), "measurement"), digest);
    assert_string_equal(text(document(f), "tee"), "snp");
    assert_null(clo_wire_get(document(f), "steps"));
    expect(f, "measure @ovmf_AmdSev_suffix.bin --tee snp --kernel @empty --vcpus 2 --explain", 0);
    assert_non_null(strstr(f->out, "save area of processor 1"));
    assert_non_null(strstr(f->out, "kernel hashes: command line"));
    expect(f, "measure @ovmf_AmdSev_suffix.bin --tee snp --kernel @empty --explain --json", 0);
    assert_true(clo_wire_get(document(f), "steps")->count > 5);
    static const struct {
        const char *options;
        int code;
    } wrong[] = {{"--cmdline x", 2},           {"--kernel @empty --vcpus 0", 2}, {"--kernel @empty --vcpu-type Xeon", 1}, {"--kernel @empty --vmm xen", 2},
                 {"--kernel @missing", 3},     {"--guest-features 33", 2},       {"--firmware-digest 00", 2},             {"--vcpus x", 2}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char line[160];
        (void)snprintf(line, sizeof line, "measure @ovmf_AmdSev_suffix.bin --tee snp %s", wrong[i].options);
        if (call(f, line) == 0) fail_msg("%s passed", line);
        assert_true(f->code >= 1 && f->code <= 3);
        expect_error(f, " ");
    }
    expect(f, "measure @ovmf_OvmfX64_suffix.bin --tee snp --kernel @empty", 2);
    expect_error(f, "no place for a kernel's hashes");
}

static void enclaves(void **state)
{
    fixture *f = *state;
    copy_golden(f, "test_enclave.sig");
    copy_golden(f, "test_enclave.sgxs");
    expect(f, "measure @test_enclave.sgxs --tee sgx", 0);
    assert_string_equal(f->out, "784acfd7d5096a8f0fbd3265760bff21b120f62407a9a9e5ba31aa3c8ed198fc\n");
    expect(f, "measure @test_enclave.sig --tee sgx --json", 0);
    assert_string_equal(text(document(f), "mrenclave"), "784acfd7d5096a8f0fbd3265760bff21b120f62407a9a9e5ba31aa3c8ed198fc");
    assert_int_equal(strlen(text(document(f), "mrsigner")), 64);
    write_text(f, "junk", "junk");
    static const char *const kinds[] = {"snp", "tdx", "nitro", "sgx", "tpm"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        char line[64];
        (void)snprintf(line, sizeof line, "measure @junk --tee %s", kinds[i]);
        if (call(f, line) == 0) fail_msg("%s passed", line);
        (void)snprintf(line, sizeof line, "measure @missing --tee %s", kinds[i]);
        expect(f, line, 3);
    }
    expect(f, "measure @junk --tee cca", 2);
    expect_error(f, "sim, snp, tdx, nitro, sgx or tpm");
    expect(f, "measure @test_enclave.sig --tee sgx --agreement @missing", 2);
    expect_error(f, "--tee sim or snp");
}

static void this_machine(void **state)
{
    fixture *f = *state;
    expect(f, "attest collect --list", 0);
    assert_non_null(strstr(f->out, "azure-vtpm"));
    expect(f, "attest collect --list --json", 0);
    assert_int_equal(document(f)->count, 7);
    expect(f, "attest collect", 2);
    expect_error(f, "--out FILE");
    expect(f, "attest collect --tee none --out @x", 2);
    expect_error(f, "--list");
    expect(f, "attest collect --tee tpm --nonce 0 --out @x", 2);
    expect(f, "attest collect --tee tpm --tpm device:@no-tpm --out @x", 3);
    assert_false(clo_os_file_exists(path_in(f, "x")));
}

int main(void)
{
    (void)setenv("TSS2_LOG", "all+none", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(snp_guests, setup, teardown),
        cmocka_unit_test_setup_teardown(enclaves, setup, teardown),
        cmocka_unit_test_setup_teardown(this_machine, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
