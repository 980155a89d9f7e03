/* Files and directories: bounded reads, atomic durable writes, locks. No function follows a symbolic link in the last
 * component of a path that it opens for writing. Every path is a C string; messages name it. */
#ifndef CLO_OS_FILE_H
#define CLO_OS_FILE_H
#include "base/clo_buf.h"
#include "base/clo_err.h"
#include "base/clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

/** Close *fd where it is >= 0 and set it to -1; for CLO_AUTO and for descriptors that were only read. */
void clo_os_fd_close(int *fd);
/** Close a descriptor that was written: a late write error is an error. *fd becomes -1. Errors: IO. */
CLO_R clo_os_fd_finish(int *fd);

typedef enum {
    CLO_OS_OPEN_READ,       /* existing file, read only */
    CLO_OS_OPEN_READ_WRITE, /* existing file */
    CLO_OS_OPEN_CREATE,     /* read and write, made where absent */
    CLO_OS_OPEN_NEW,        /* read and write, must not exist (EXISTS) */
    CLO_OS_OPEN_APPEND,     /* write at the end, made where absent */
} clo_os_open_mode;
/** Open a regular file; close-on-exec. `permissions` (e.g. 0600) matter where the file is made. *fd is given to the caller.
 *  Errors: NOT_FOUND, EXISTS, IO (also where it is no regular file). */
CLO_R clo_os_file_open(int *fd, const char *path, clo_os_open_mode mode, unsigned permissions);
/** Append the whole file to out. Errors: NOT_FOUND, TOO_LARGE (more than max bytes), IO. On error out is unchanged. */
CLO_R clo_os_file_read(const char *path, size_t max, clo_buf *out);
/** A secret file (key): refuses one that group or others may read, and reads into memory of the caller that is wiped on
 *  error. *n = bytes. Errors: NOT_FOUND, DENIED (permissions), TOO_LARGE (more than size), IO. */
CLO_R clo_os_file_read_secret(const char *path, void *to, size_t size, size_t *n);
/** What stands between a file's name and six random letters while the file is being written. */
#define CLO_OS_TEMPORARY ".tmp-"
/** Replace path by these bytes or leave it as it was: temporary file beside it, fsync, rename, fsync of the directory. */
CLO_R clo_os_file_write_atomic(const char *path, clo_span bytes, unsigned permissions);
/** Make a new file with these bytes, durable. Errors: EXISTS, IO. */
CLO_R clo_os_file_write_new(const char *path, clo_span bytes, unsigned permissions);
/** Append to an open file and fdatasync it. Errors: IO (the file may then hold a part: the caller's format must detect it). */
CLO_R clo_os_file_append_sync(int fd, clo_span bytes);
/** Write all, from the descriptor's position (blocking descriptor). Errors: IO, CLOSED. */
CLO_R clo_os_file_write_all(int fd, clo_span bytes);
/** Exactly n bytes at offset. Errors: TRUNCATED (end of file), IO. */
CLO_R clo_os_file_pread(int fd, uint64_t offset, void *to, size_t n);
CLO_R clo_os_file_pwrite(int fd, uint64_t offset, clo_span bytes);
/** Begin to bring these bytes to the disk, so that a later sync waits less; a hint. */
void clo_os_file_write_early(int fd, uint64_t offset, size_t n);
CLO_R clo_os_file_sync(int fd);
/** The bytes and what it takes to read them back (fdatasync). */
CLO_R clo_os_file_sync_data(int fd);
CLO_R clo_os_file_truncate(int fd, uint64_t size);
CLO_R clo_os_file_size_fd(int fd, uint64_t *size);
/** The open file is still the one at this path: nobody removed or replaced it. Errors: NOT_FOUND, CONFLICT (another file is there), IO. */
CLO_R clo_os_file_still(int fd, const char *path);
/** See that n more bytes behind offset will fit on the disk; the file's size stays. Errors: IO. A file system that cannot tell says yes. */
CLO_R clo_os_file_reserve(int fd, uint64_t offset, uint64_t n);
/** Errors: NOT_FOUND, IO. */
CLO_R clo_os_file_size(const char *path, uint64_t *size);
bool clo_os_file_exists(const char *path);
bool clo_os_dir_exists(const char *path);
/** Rename within one file system, then fsync the directory of `to`. Replaces `to`. */
CLO_R clo_os_file_rename(const char *from, const char *to);
/** Remove a file. A missing file is no error. */
CLO_R clo_os_file_remove(const char *path);
/** Copy a regular file (durable, replaces `to` atomically). */
CLO_R clo_os_file_copy(const char *from, const char *to, unsigned permissions);

/** Make the directory and its missing parents, mode 0700 (existing ones keep their mode); durable like a file. */
CLO_R clo_os_dir_make(const char *path);
/** fsync a directory. */
CLO_R clo_os_dir_sync(const char *path);
/** Call `each` for every entry but "." and "..", in byte order of the names; a failure of `each` ends the walk and is returned.
 *  Errors: NOT_FOUND, TOO_MANY (more than 100,000 entries), IO. */
typedef clo_err (*clo_os_dir_fn)(void *context, const char *name, bool is_directory);
CLO_R clo_os_dir_list(const char *path, clo_os_dir_fn each, void *context);
/** Remove the temporary files that interrupted writes left in this directory. Only for who holds the directory's lock. Missing is no error. */
CLO_R clo_os_dir_sweep(const char *path);
/** Remove a directory with everything in it (symbolic links are removed, never followed). Missing is no error. */
CLO_R clo_os_tree_remove(const char *path);
/** Copy a tree of regular files and directories to a path that does not exist (modes kept). */
CLO_R clo_os_tree_copy(const char *from, const char *to);
/** A fresh private directory under $TMPDIR or /tmp: `prefix`XXXXXX. path has 256 bytes. */
CLO_R clo_os_dir_temporary(const char *prefix, char path[256]);
/** "dir/name" into a fixed array. Errors: TOO_LARGE. */
CLO_R clo_os_path_join(char *to, size_t to_size, const char *dir, const char *name);
/** Directory of the running program (/proc/self/exe). */
CLO_R clo_os_path_program_dir(char *to, size_t to_size);

/** Take the exclusive lock of a daemon on dir/lock and write the process id into it. *fd is given to the caller; closing it frees
 *  the lock. Errors: CONFLICT (another process holds it, named), IO. */
CLO_R clo_os_lock_take(const char *path, int *fd);

#ifdef __cplusplus
}
#endif
#endif
