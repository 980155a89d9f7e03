/* Inside of the log: the tree in memory, the journal, the committer. Lock order: store_lock, then lock. */
#ifndef CLO_AUDIT_TLOG_INT_H
#define CLO_AUDIT_TLOG_INT_H
#include "audit/tlog.h"

#include <pthread.h>
#include <semaphore.h>

enum { QUEUE_MAX = 8192, LEVELS = 48, RECORD_EXTRA = 36 };

typedef struct {
    clo_wire_hash *hashes; /* complete subtrees of this level */
    uint64_t count, capacity;
} clo_audit_level;

/* The tree: every complete subtree's hash, and where each entry lies in the journal. */
typedef struct {
    clo_audit_level levels[LEVELS];
    uint64_t *offsets; /* of the data, per entry */
    uint32_t *sizes;
    uint64_t size, capacity;
} clo_audit_tree;

CLO_R clo_audit_tree_add(clo_audit_tree *t, const clo_wire_hash *leaf, uint64_t offset, uint32_t size);
clo_err clo_audit_tree_get(void *tree, unsigned level, uint64_t index, clo_wire_hash *out);
void clo_audit_tree_free(clo_audit_tree *t);

/** Read all records of a journal into the tree; *good = bytes of whole records. */
CLO_R clo_audit_journal_load(int fd, clo_audit_tree *tree, uint64_t *good);
/** Append the record of one entry to a group. */
CLO_R clo_audit_journal_record(clo_buf *group, clo_span data, const clo_wire_hash *leaf);

/* One appender that waits. */
typedef struct clo_audit_waiter {
    struct clo_audit_waiter *next;
    clo_span data;
    clo_wire_hash leaf;
    uint64_t index;
    uint32_t code;
    sem_t done; /* each its own: a thousand that wake on one condition would queue for its lock */
    struct clo_audit_waiter *wakes[2]; /* whom this one wakes: the committer wakes only the first of a group and goes on */
} clo_audit_waiter;

struct clo_audit_log {
    char directory[512], journal_path[600], checkpoint_path[600], origin[256];
    clo_crypto_loaded_key *sk;
    clo_audit_log_options options;
    int fd, lock_fd;
    uint64_t journal_size;
    clo_audit_tree tree;
    clo_wire_note_key key;
    pthread_t committer, asker, keeper;
    bool running, asking, keeping; /* the threads exist */
    pthread_mutex_t store_lock;    /* held while the checkpoint is being stored */
    pthread_mutex_t lock; /* guards everything below and tree */
    pthread_cond_t work, published, ask, keep; /* to the committer; from both; to the witness thread; to the keeper */
    char why[200];          /* the last group failed */
    bool stop, broken, keeper_idle;
    clo_audit_waiter *first, *last;
    size_t queued, wanted;  /* the committer is signalled once `wanted` wait; SIZE_MAX while it is at work */
    clo_buf note;           /* published checkpoint */
    uint64_t note_size;     /* entries in it */
    uint64_t stored_size;   /* entries in the checkpoint on disk */
    uint32_t store_code;    /* why the last try to store one failed; 0 = it did not */
    uint64_t witnessed_size;/* entries in `witnessed` */
    clo_buf witnessed;      /* last checkpoint with cosignatures */
    uint64_t witnessed_ns;  /* monotonic time at which the witnesses were asked for them */
    bool refresh;           /* they are to be asked again, although they know this size */
};

#endif
