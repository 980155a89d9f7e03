#include "service/serve.h"

#include "base/clo_own.h"
#include "os/file.h"
#include "wire/json.h"

#include <stdio.h>

void clo_service_home_say_new(const char *home, const char *role)
{
    (void)fprintf(stderr, "cloisterd: %s was not the home of %s; a new one is made, with new keys (was another meant? stop, remove this one, give --home DIR)\n",
                  home, role);
}

CLO_R clo_service_print(const clo_wire_node *tree)
{
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, 1 << 20);
    CLO_TRY(clo_wire_json_encode(tree, 0, &text));
    CLO_TRY(clo_buf_put_u8(&text, '\n'));
    CLO_CHECKF(fwrite(text.p, 1, text.len, stdout) == text.len && fflush(stdout) == 0, CLO_E_IO, "cannot write to standard output");
    return CLO_OK;
}

CLO_R clo_service_home_lock(const char *home, int *fd)
{
    char path[600];
    CLO_TRY(clo_os_dir_make(home));
    CLO_TRY(clo_os_path_join(path, sizeof path, home, "lock"));
    CLO_TRY(clo_os_lock_take(path, fd));
    return clo_os_dir_sweep(home);
}
