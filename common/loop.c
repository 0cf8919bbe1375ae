/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop - one thread, one epoll set, everything that a request needs.
 *
 * The posts lie in two vectors: one is filled under the lock by whoever posts, the other one is
 * being run. A post from the loop's own thread does not poke the eventfd: the loop looks at the
 * vector before it waits.
 */
#include "common/loop.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/lock.h"
#include "common/log.h"

#define LOOP_STAGES_MAX 4
#define LOOP_READY_MAX  256
#define LOOP_GATHER_MAX 64
#define SPIN_TURNS      1000 /* in a second */
#define SPIN_TELL_MS    10000

struct post {
	loop_post_f *fn;
	void *arg;
};

/* Of a thread that gathers. */
struct held {
	struct loop *loop; /* NULL: it has gone */
	struct post post;
};

struct posts {
	struct post *at;
	size_t len, room;
};

/* `birth` tells a watch from an earlier one of the same fd whose event is still in the batch. */
struct watch {
	loop_ready_f *on_ready;
	void *arg;
	uint32_t birth;
};

struct loop {
	char name[32];
	unsigned index;
	int epoll_fd, wake_fd;
	atomic_bool stop, running;
	bool stages_woken;
	int64_t now_ms;

	pthread_mutex_t lock; /* guards inbox */
	struct posts inbox, taken;

	struct watch *watches; /* by fd */
	size_t watches_room;
	uint32_t births;

	struct loop_timer **heap; /* from 1; the soonest is first */
	size_t heap_len, heap_room;

	struct loop_stage stages[LOOP_STAGES_MAX];
	unsigned stages_len;

	bool moved;        /* in this turn */
	unsigned still;    /* turns of this second that neither waited nor moved anything */
	int64_t second_ms; /* its begin */
	int64_t told_ms;   /* when the last spin was logged */
	uint64_t spins;    /* one writer; others may look */
};

static _Thread_local const struct loop *own_loop;
static _Thread_local struct {
	unsigned depth;
	size_t len;
	struct held at[LOOP_GATHER_MAX];
} gathered;

static void *grow(void *at, size_t *room, size_t least, size_t size)
{
	size_t wanted = *room ? *room : 16;
	while (wanted < least)
		wanted *= 2;
	if (wanted == *room)
		return at;
	void *grown = reallocarray(at, wanted, size);
	CHECK(grown);
	memset((char *)grown + *room * size, 0, (wanted - *room) * size);
	*room = wanted;
	return grown;
}

static void posts_add(struct posts *posts, loop_post_f *fn, void *arg)
{
	posts->at = grow(posts->at, &posts->room, posts->len + 1, sizeof(*posts->at));
	posts->at[posts->len++] = (struct post){ fn, arg };
}

static void posts_run(struct posts *posts)
{
	for (size_t i = 0; i < posts->len; i++)
		posts->at[i].fn(posts->at[i].arg);
	posts->len = 0;
}

/* Life. */

static bool loop_open(struct loop *loop, struct error *err)
{
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0)
		return error_sys(err, "epoll_create1");
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->wake_fd < 0)
		return error_sys(err, "eventfd");
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = (uint64_t)(uint32_t)loop->wake_fd };
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &event) < 0)
		return error_sys(err, "epoll_ctl");
	return true;
}

bool loop_new(struct loop **ret_loop, const char *name, struct error *err)
{
	AUTO(loop) *loop = xnew(struct loop);
	loop->epoll_fd = loop->wake_fd = -1;
	size_t len = strnlen(name, sizeof(loop->name) - 1);
	memcpy(loop->name, name, len);
	lock_mutex_init(&loop->lock);
	loop->now_ms = clock_ms();
	if (!loop_open(loop, err))
		return error_add(err, "loop %s", name);
	*ret_loop = TAKE(loop);
	return true;
}

static bool take_inbox(struct loop *loop)
{
	CHECK(pthread_mutex_lock(&loop->lock) == 0);
	struct posts taken = loop->inbox;
	loop->inbox = loop->taken;
	loop->taken = taken;
	CHECK(pthread_mutex_unlock(&loop->lock) == 0);
	return taken.len > 0;
}

bool loop_drain(struct loop *loop)
{
	const struct loop *before = own_loop;
	bool any = false;

	CHECK(!atomic_load(&loop->running));
	own_loop = loop;
	while (take_inbox(loop)) {
		posts_run(&loop->taken);
		any = true;
	}
	own_loop = before;
	return any;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	(void)loop_drain(loop);
	if (loop->epoll_fd >= 0)
		(void)close(loop->epoll_fd);
	if (loop->wake_fd >= 0)
		(void)close(loop->wake_fd);
	(void)pthread_mutex_destroy(&loop->lock);
	free(loop->inbox.at);
	free(loop->taken.at);
	free(loop->watches);
	free(loop->heap);
	free(loop);
}

/* Timers: a binary heap of borrowed pointers. */

static void heap_set(struct loop *loop, size_t slot, struct loop_timer *timer)
{
	loop->heap[slot] = timer;
	timer->slot = (unsigned)slot;
}

static void heap_up(struct loop *loop, size_t slot)
{
	struct loop_timer *timer = loop->heap[slot];
	for (; slot > 1 && loop->heap[slot / 2]->due_ms > timer->due_ms; slot /= 2)
		heap_set(loop, slot, loop->heap[slot / 2]);
	heap_set(loop, slot, timer);
}

static void heap_down(struct loop *loop, size_t slot)
{
	struct loop_timer *timer = loop->heap[slot];
	for (size_t child; (child = slot * 2) <= loop->heap_len; slot = child) {
		if (child < loop->heap_len && loop->heap[child + 1]->due_ms < loop->heap[child]->due_ms)
			child++;
		if (loop->heap[child]->due_ms >= timer->due_ms)
			break;
		heap_set(loop, slot, loop->heap[child]);
	}
	heap_set(loop, slot, timer);
}

void loop_timer_start(struct loop *loop, struct loop_timer *timer, int64_t in_ms, loop_timer_f *fn, void *arg)
{
	loop_assert(loop);
	if (!loop_is_own(loop))
		loop->now_ms = clock_ms();
	timer->fn = fn;
	timer->arg = arg;
	timer->due_ms = loop->now_ms + (in_ms > 0 ? in_ms : 0);
	if (timer->slot == 0) {
		loop->heap =
			grow(loop->heap, &loop->heap_room, loop->heap_len + 2, sizeof(struct loop_timer *));
		heap_set(loop, ++loop->heap_len, timer);
	}
	heap_up(loop, timer->slot);
	heap_down(loop, timer->slot);
}

void loop_timer_stop(struct loop *loop, struct loop_timer *timer)
{
	loop_assert(loop);
	if (timer->slot == 0)
		return;
	size_t slot = timer->slot;
	CHECK(slot <= loop->heap_len && loop->heap[slot] == timer);
	struct loop_timer *last = loop->heap[loop->heap_len--];
	timer->slot = 0;
	if (last == timer)
		return;
	heap_set(loop, slot, last);
	heap_up(loop, slot);
	heap_down(loop, last->slot);
}

/* The count bounds the step: a timer that starts itself anew with 0 ms runs once a turn. */
static void run_timers(struct loop *loop)
{
	for (size_t left = loop->heap_len; left > 0 && loop->heap_len > 0; left--) {
		struct loop_timer *timer = loop->heap[1];
		if (timer->due_ms > loop->now_ms)
			break;
		loop_timer_stop(loop, timer);
		timer->fn(timer->arg);
	}
}

/* Turns. */

static bool inbox_is_empty(struct loop *loop)
{
	CHECK(pthread_mutex_lock(&loop->lock) == 0);
	bool empty = loop->inbox.len == 0;
	CHECK(pthread_mutex_unlock(&loop->lock) == 0);
	return empty;
}

static int wait_ms(struct loop *loop, int max_wait_ms)
{
	int64_t wait = max_wait_ms < 0 ? INT32_MAX : max_wait_ms;
	for (unsigned i = 0; i < loop->stages_len && wait > 0; i++) {
		int64_t wish = loop->stages[i].timeout_ms(loop->stages[i].arg);
		if (wish >= 0 && wish < wait)
			wait = wish;
	}
	if (loop->heap_len > 0 && wait > 0) {
		int64_t due_in = loop->heap[1]->due_ms - clock_ms();
		wait = due_in <= 0 ? 0 : due_in < wait ? due_in : wait;
	}
	if (loop->stages_woken || atomic_load(&loop->stop) || !inbox_is_empty(loop))
		return 0;
	return max_wait_ms < 0 && wait == INT32_MAX ? -1 : (int)wait;
}

static void drain_wake_fd(struct loop *loop)
{
	uint64_t count;
	ssize_t got = read(loop->wake_fd, &count, sizeof(count));
	CHECK(got == (ssize_t)sizeof(count) || errno == EAGAIN || errno == EINTR);
}

static void run_ready(struct loop *loop, const struct epoll_event *events, int n)
{
	for (int i = 0; i < n; i++) {
		int fd = (int)(uint32_t)events[i].data.u64;
		if (fd == loop->wake_fd) {
			drain_wake_fd(loop);
			continue;
		}
		CHECK((size_t)fd < loop->watches_room);
		struct watch *watch = &loop->watches[fd];
		if (watch->on_ready && watch->birth == (uint32_t)(events[i].data.u64 >> 32))
			watch->on_ready(watch->arg, events[i].events);
	}
}

static void run_stages(struct loop *loop)
{
	loop->stages_woken = false;
	for (unsigned i = 0; i < loop->stages_len; i++)
		loop->stages[i].run(loop->stages[i].arg);
}

/* Spinning. */

static void spun(struct loop *loop)
{
	__atomic_store_n(&loop->spins, loop->spins + 1, __ATOMIC_RELAXED);
	if (loop->told_ms && loop->now_ms - loop->told_ms < SPIN_TELL_MS)
		return;
	loop->told_ms = loop->now_ms;
	log_warn("loop.spins", "loop=%s turns=%u it turns and nothing moves; spins=%" PRIu64, loop->name,
		loop->still, loop->spins);
}

/* A turn is over in which nothing could be waited for, or something was ready. */
static void count_turn(struct loop *loop, bool waited_in_vain)
{
	if (loop->now_ms - loop->second_ms >= 1000) {
		loop->second_ms = loop->now_ms;
		loop->still = 0;
	}
	if (loop->moved || waited_in_vain)
		return;
	if (++loop->still == SPIN_TURNS)
		spun(loop);
}

void loop_moved(struct loop *loop)
{
	loop_assert(loop);
	loop->moved = true;
}

uint64_t loop_spins(const struct loop *loop)
{
	return __atomic_load_n(&loop->spins, __ATOMIC_RELAXED);
}

static void turn(struct loop *loop, int max_wait_ms)
{
	struct epoll_event events[LOOP_READY_MAX];
	int wait = wait_ms(loop, max_wait_ms);
	int n = epoll_wait(loop->epoll_fd, events, LOOP_READY_MAX, wait);
	CHECK(n >= 0 || errno == EINTR);
	loop->now_ms = clock_ms();
	loop->moved = false;
	run_ready(loop, events, n);
	if (take_inbox(loop)) {
		posts_run(&loop->taken);
		loop->moved = true;
	}
	run_timers(loop);
	run_stages(loop);
	count_turn(loop, n <= 0 && wait != 0);
}

static void loop_enter(struct loop *loop)
{
	CHECK(!own_loop);
	CHECK(!atomic_exchange(&loop->running, true));
	own_loop = loop;
	loop->now_ms = clock_ms();
}

static void loop_leave(struct loop *loop)
{
	own_loop = NULL;
	atomic_store(&loop->running, false);
}

void loop_run(struct loop *loop)
{
	loop_enter(loop);
	while (!atomic_load(&loop->stop))
		turn(loop, -1);
	atomic_store(&loop->stop, false);
	loop_leave(loop);
}

void loop_turn(struct loop *loop, int max_wait_ms)
{
	loop_enter(loop);
	turn(loop, max_wait_ms < 0 ? 0 : max_wait_ms);
	loop_leave(loop);
}

static void poke(struct loop *loop)
{
	uint64_t one = 1;
	ssize_t put;
	do
		put = write(loop->wake_fd, &one, sizeof(one));
	while (put < 0 && errno == EINTR);
	CHECK(put == (ssize_t)sizeof(one) || errno == EAGAIN);
}

void loop_stop(struct loop *loop)
{
	atomic_store(&loop->stop, true);
	poke(loop);
}

/* The poke is made under the lock: after it the poster does not touch the loop any more, so the
 * post itself may be what lets the loop end and be freed. The same of the last of several posts. */
static void post_all(struct loop *loop, struct held *held, size_t len)
{
	CHECK(pthread_mutex_lock(&loop->lock) == 0);
	bool was_empty = loop->inbox.len == 0;
	for (size_t i = 0; i < len; i++) {
		if (held[i].loop != loop)
			continue;
		posts_add(&loop->inbox, held[i].post.fn, held[i].post.arg);
		held[i].loop = NULL;
	}
	if (was_empty && !loop_is_own(loop))
		poke(loop);
	CHECK(pthread_mutex_unlock(&loop->lock) == 0);
}

static void post_gathered(void)
{
	for (size_t i = 0; i < gathered.len; i++)
		if (gathered.at[i].loop)
			post_all(gathered.at[i].loop, gathered.at + i, gathered.len - i);
	gathered.len = 0;
}

void loop_post(struct loop *loop, loop_post_f *fn, void *arg)
{
	struct held held = { loop, { fn, arg } };

	if (!gathered.depth) {
		post_all(loop, &held, 1);
		return;
	}
	gathered.at[gathered.len++] = held;
	if (gathered.len == LOOP_GATHER_MAX)
		post_gathered();
}

void loop_posts_gather(void)
{
	gathered.depth++;
}

void loop_posts_let_go(void)
{
	CHECK(gathered.depth);
	if (--gathered.depth == 0)
		post_gathered();
}

/* Watches. */

/* Gives 0 or errno. */
static int watch_ctl(struct loop *loop, int op, int fd, uint32_t events)
{
	uint64_t data = (uint64_t)loop->watches[fd].birth << 32 | (uint32_t)fd;
	struct epoll_event event = { .events = events, .data.u64 = data };
	return epoll_ctl(loop->epoll_fd, op, fd, &event) == 0 ? 0 : errno;
}

static bool watch_failed(int failed, int fd, struct error *err)
{
	errno = failed;
	return error_sys(err, "epoll_ctl of fd %d", fd);
}

bool loop_watch(
	struct loop *loop, int fd, uint32_t events, loop_ready_f *on_ready, void *arg, struct error *err)
{
	loop_assert(loop);
	CHECK(fd >= 0 && on_ready);
	loop->watches = grow(loop->watches, &loop->watches_room, (size_t)fd + 1, sizeof(struct watch));
	struct watch *watch = &loop->watches[fd];
	CHECK(!watch->on_ready);
	watch->birth = ++loop->births;
	/* A fd that was closed while somebody else holds a copy of it is still in the set. */
	int failed = watch_ctl(loop, EPOLL_CTL_ADD, fd, events);
	if (failed == EEXIST)
		failed = watch_ctl(loop, EPOLL_CTL_MOD, fd, events);
	if (failed)
		return watch_failed(failed, fd, err);
	watch->on_ready = on_ready;
	watch->arg = arg;
	return true;
}

bool loop_rewatch(struct loop *loop, int fd, uint32_t events, struct error *err)
{
	loop_assert(loop);
	CHECK(fd >= 0 && (size_t)fd < loop->watches_room && loop->watches[fd].on_ready);
	/* A fd that was closed and opened anew since has left the set without being unwatched. */
	int failed = watch_ctl(loop, EPOLL_CTL_MOD, fd, events);
	if (failed == ENOENT)
		failed = watch_ctl(loop, EPOLL_CTL_ADD, fd, events);
	return failed ? watch_failed(failed, fd, err) : true;
}

void loop_unwatch(struct loop *loop, int fd)
{
	loop_assert(loop);
	CHECK(fd >= 0 && (size_t)fd < loop->watches_room && loop->watches[fd].on_ready);
	/* Fails where the fd was closed first: closing took it out of the set. */
	(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	loop->watches[fd] = (struct watch){ 0 };
}

/* Stages and questions. */

void loop_add_stage(struct loop *loop, struct loop_stage stage)
{
	loop_assert(loop);
	CHECK(loop->stages_len < LOOP_STAGES_MAX);
	loop->stages[loop->stages_len++] = stage;
}

void loop_wake_stages(struct loop *loop)
{
	loop_assert(loop);
	loop->stages_woken = true;
}

void loop_remove_stage(struct loop *loop, const void *arg)
{
	loop_assert(loop);
	unsigned kept = 0;
	for (unsigned i = 0; i < loop->stages_len; i++)
		if (loop->stages[i].arg != arg)
			loop->stages[kept++] = loop->stages[i];
	loop->stages_len = kept;
}

int64_t loop_now(const struct loop *loop)
{
	loop_assert(loop);
	return loop->now_ms;
}

bool loop_is_own(const struct loop *loop)
{
	return own_loop == loop;
}

void loop_assert(const struct loop *loop)
{
	CHECK(own_loop == loop || !atomic_load(&loop->running));
}

void loop_set_index(struct loop *loop, unsigned index)
{
	loop_assert(loop);
	loop->index = index;
}

unsigned loop_index(const struct loop *loop)
{
	return loop->index;
}
