/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pipe - a bounded run of bytes from one writer to one reader.
 *
 *     source --pipe_write()--> [ at most `capacity` bytes ] --pipe_read()--> sink
 *
 * This is what keeps a slow client from filling our memory: a full pipe tells its writer AGAIN,
 * and the writer then stops reading its own source.
 *
 * Thread    Both ends live on one loop, which each function checks. There is no lock.
 * Wakeup    An end that was told AGAIN is armed, and so is a writer of which less was taken than
 *           it offered. Its callback then runs once, from the loop (posted), never from inside
 *           pipe_read() or pipe_write(). A writer wakes when half of the capacity is free, a
 *           reader as soon as there is a byte or an end.
 * End       finish: the reader drains, then sees END.   fail: the reader sees FAILED at once.
 *           abandon: the writer sees FAILED.
 * Size      Whoever calls pipe_new() names the capacity; memory is taken as it is needed, up to
 *           that.
 * Splicing  What goes from a socket to a socket need not come to us. A reader that can do so says
 *           pipe_may_splice(). Then the writer may put what a socket has behind what it wrote
 *           (pipe_splice()), into a pipe of the kernel of PIPE_SPLICE_ROOM bytes, and the reader sends it
 *           on from there (pipe_in_kernel(); splice(2)). Once begun, nothing else is written.
 * Life      Counted: each end drops its own with pipe_unref(); callbacks of an end that let go
 *           never run.
 */
#pragma once

#include <stddef.h>
#include <sys/uio.h>

#include "common/cleanup.h"
#include "common/error.h"

struct loop;
struct pipe;

enum pipe_step { PIPE_OK, PIPE_AGAIN, PIPE_END, PIPE_FAILED };
typedef void pipe_wake_f(void *owner);

struct pipe *pipe_new(struct loop *loop, size_t capacity); /* two references: writer's, reader's */

/* Writer. Takes as much as fits: *ret_taken is 1..len on OK, 0 otherwise. */
void           pipe_on_room(struct pipe *pipe, pipe_wake_f *wake, void *owner);
enum pipe_step pipe_write(struct pipe *pipe, const void *bytes, size_t len, size_t *ret_taken) MUST_CHECK;
/* All or nothing, for writers that cannot split (curl's write callback). */
enum pipe_step pipe_write_whole(struct pipe *pipe, const void *bytes, size_t len) MUST_CHECK;
void           pipe_finish(struct pipe *pipe);
void           pipe_fail(struct pipe *pipe, const struct error *err);
void           pipe_unref_writer(struct pipe *pipe); /* without finish() before: as pipe_fail() */
/* The kernel has a pipe for this one now. False: the reader takes none of it, or there is none to be had. */
#define PIPE_SPLICE_ROOM ((size_t)1024 * 1024)
bool           pipe_open_splice(struct pipe *pipe) MUST_CHECK;
/* Up to max bytes of a socket that does not block: *ret_len is 1..max on OK. AGAIN: it has none, or there is no room, of which on_room tells.
 * END: it has ended, or failed. */
enum pipe_step pipe_splice(struct pipe *pipe, int socket, size_t max, size_t *ret_len) MUST_CHECK;

/* Reader. On OK, *ret_len is 1..max; otherwise it is untouched. */
void           pipe_on_bytes(struct pipe *pipe, pipe_wake_f *wake, void *owner);
enum pipe_step pipe_read(struct pipe *pipe, void *into, size_t max, size_t *ret_len) MUST_CHECK;
/* The same without a copy: on OK up to two runs of bytes, borrowed until the next call; pipe_took() says how many of them are done with. */
enum pipe_step pipe_look(struct pipe *pipe, struct iovec into[2], int *ret_len) MUST_CHECK;
void           pipe_took(struct pipe *pipe, size_t len);
void           pipe_may_splice(struct pipe *pipe);
/* How many bytes are to be taken from *ret_fd next, of which pipe_took() tells as well. 0 while there are any in memory. */
size_t         pipe_in_kernel(const struct pipe *pipe, int *ret_fd) MUST_CHECK;
void           pipe_unref_reader(struct pipe *pipe); /* before END: abandons */

/* Look. */
size_t              pipe_len(const struct pipe *pipe);
const struct error *pipe_error(const struct pipe *pipe); /* why FAILED; NULL otherwise */
