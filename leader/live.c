/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/live.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/http_server.h"
#include "common/list.h"
#include "common/loop.h"
#include "common/pipe.h"
#include "common/pool.h"
#include "leader/api.h"
#include "leader/leader.h"
#include "leader/live_frame.h"
#include "leader/login.h"
#include "leader/waiting.h"

#define WATCHER_MAGIC MAGIC('W', 'T', 'C', 'H')
#define EVERY_DEFAULT 2000
#define AGAIN_MS      1000 /* the pool was full */
/* A browser that lost its stream asks again after so long. */
#define RETRY "retry: 2000\n\n"

static const unsigned paces[] = LIVE_PACES;
#define PACES (sizeof(paces) / sizeof(paces[0]))

/* Those who are told as often as each other. */
struct pace {
	struct live *live;
	unsigned every_ms;
	struct loop_timer timer;
	struct list watchers;
	struct live_news *news;
	struct live_frame *frames[LIVE_FRAMES]; /* the last ones, by number */
	uint64_t begin, end;                    /* their numbers */
	size_t bytes;                           /* of them */
	bool building, with_all;                /* with_all: what is being made has a frame of all */
	struct live_frame *made_new, *made_all;
};

struct watcher {
	struct waiting waiting; /* first */
	uint32_t magic;
	struct pace *pace;
	struct list in_pace; /* while the stream goes on */
	struct pipe *pipe;
	struct login_who who;
	struct live_frame *frame; /* that is being sent, up to `at` */
	size_t at;
	uint64_t next; /* the number of the frame after it; 0: it waits for one of all */
	int64_t until_ms;
};

struct live {
	struct leader *leader;
	struct pace paces[PACES];
	unsigned watchers;
	bool closed;
};

struct live *live_new(struct leader *leader)
{
	struct live *live = xnew(struct live);

	live->leader = leader;
	for (size_t i = 0; i < PACES; i++) {
		struct pace *pace = &live->paces[i];
		pace->live = live;
		pace->every_ms = paces[i];
		pace->begin = pace->end = 1;
		list_init(&pace->watchers);
		pace->news = live_news_new(leader);
	}
	return live;
}

static void drop_oldest(struct pace *pace)
{
	struct live_frame **frame = &pace->frames[pace->begin++ % LIVE_FRAMES];

	pace->bytes -= (*frame)->text.len;
	live_frame_free(*frame);
	*frame = NULL;
}

static void pace_fini(struct pace *pace)
{
	CHECK(!list_first(&pace->watchers) && !pace->building);
	loop_timer_stop(pace->live->leader->loop, &pace->timer);
	while (pace->begin < pace->end)
		drop_oldest(pace);
	live_news_free(pace->news);
}

void live_free(struct live *live)
{
	if (!live)
		return;
	for (size_t i = 0; i < PACES; i++)
		pace_fini(&live->paces[i]);
	free(live);
}

unsigned live_watchers(const struct live *live)
{
	loop_assert(live->leader->loop);
	return live->watchers;
}

/* Nobody watches: nothing is kept. */
static void rest(struct pace *pace)
{
	if (list_first(&pace->watchers))
		return;
	loop_timer_stop(pace->live->leader->loop, &pace->timer);
	while (pace->begin < pace->end)
		drop_oldest(pace);
}

/* The end of a stream. */

static void leave_pace(struct watcher *watcher)
{
	list_drop(&watcher->in_pace);
	live_frame_free(watcher->frame);
	watcher->frame = NULL;
}

/* What lies in the pipe still goes out. */
static void finish(struct watcher *watcher)
{
	leave_pace(watcher);
	pipe_finish(watcher->pipe);
}

static void cut(struct watcher *watcher)
{
	struct error err;

	leave_pace(watcher);
	counter_add(&watcher->pace->live->leader->counters.watchers_cut_total, 1);
	(void)error_set(&err, ERROR_BUSY, NULL, "the client reads too slowly");
	pipe_fail(watcher->pipe, &err);
}

static void watcher_gone(struct waiting *waiting)
{
	struct watcher *watcher = OBJ_CAST(watcher, WATCHER_MAGIC, (void *)waiting);
	struct live *live = watcher->pace->live;

	loop_assert(live->leader->loop);
	leave_pace(watcher);
	rest(watcher->pace);
	pipe_unref_writer(watcher->pipe);
	live->watchers--;
	watcher->magic = 0;
	free(watcher);
}

/* Sending. */

static void take_next(struct watcher *watcher)
{
	struct pace *pace = watcher->pace;

	live_frame_free(watcher->frame);
	watcher->frame = NULL;
	watcher->at = 0;
	if (watcher->next >= pace->begin && watcher->next < pace->end)
		watcher->frame = live_frame_ref(pace->frames[watcher->next++ % LIVE_FRAMES]);
}

/* As much as the pipe takes; it wakes us for the rest. */
static void on_room(void *arg)
{
	struct watcher *watcher = OBJ_CAST(watcher, WATCHER_MAGIC, arg);
	size_t taken;

	while (watcher->frame) {
		struct str rest = buf_str(&watcher->frame->text);

		if (pipe_write(watcher->pipe, rest.at + watcher->at, rest.len - watcher->at, &taken) !=
			PIPE_OK)
			return;
		watcher->at += taken;
		if (watcher->at < rest.len)
			return;
		take_next(watcher);
	}
}

static void go_on(struct watcher *watcher)
{
	take_next(watcher);
	on_room(watcher);
}

static void begin_with(struct watcher *watcher, struct live_frame *all)
{
	watcher->frame = live_frame_ref(all);
	watcher->next = watcher->pace->end;
	on_room(watcher);
}

static bool is_over(const struct watcher *watcher, const struct state *state)
{
	return loop_now(watcher->pace->live->leader->loop) >= watcher->until_ms ||
	       !login_still(state, &watcher->who);
}

static void tell(struct watcher *watcher, const struct state *state)
{
	struct pace *pace = watcher->pace;

	if (is_over(watcher, state))
		finish(watcher);
	else if (!pace->made_new || (watcher->next && watcher->next < pace->begin))
		cut(watcher);
	else if (!watcher->next && pace->made_all)
		begin_with(watcher, pace->made_all);
	else if (watcher->next && !watcher->frame)
		go_on(watcher);
}

static void keep(struct pace *pace, struct live_frame *frame)
{
	while (pace->end - pace->begin >= LIVE_FRAMES ||
		(pace->begin < pace->end && pace->bytes + frame->text.len > LIVE_BYTES))
		drop_oldest(pace);
	pace->bytes += frame->text.len;
	pace->frames[pace->end++ % LIVE_FRAMES] = frame;
}

/* Frames are made. */

static void start(struct pace *pace);

static void on_due(void *arg)
{
	struct pace *pace = arg;

	loop_assert(pace->live->leader->loop);
	start(pace);
}

static void start_in(struct pace *pace, unsigned ms)
{
	if (list_first(&pace->watchers))
		loop_timer_start(pace->live->leader->loop, &pace->timer, ms, on_due, pace);
}

static bool has_new_watcher(const struct pace *pace)
{
	for (LIST_EACH(at, &pace->watchers))
		if (!LIST_OF(struct watcher, in_pace, at)->next)
			return true;
	return false;
}

static void tell_all(struct pace *pace)
{
	AUTO(state) *state = leader_state(pace->live->leader);
	struct list *next;

	for (struct list *at = pace->watchers.next; at != &pace->watchers; at = next) {
		next = at->next;
		tell(LIST_OF(struct watcher, in_pace, at), state);
	}
}

static void on_made(void *arg)
{
	struct pace *pace = arg;

	loop_assert(pace->live->leader->loop);
	pace->building = false;
	if (pace->made_new)
		keep(pace, pace->made_new);
	tell_all(pace);
	live_frame_free(pace->made_all);
	pace->made_new = pace->made_all = NULL;
	rest(pace);
	start_in(pace, has_new_watcher(pace) ? 0 : pace->every_ms);
}

static void make(void *arg)
{
	struct pace *pace = arg;

	live_news_make(pace->news, &pace->made_new, pace->with_all ? &pace->made_all : NULL);
}

static void start(struct pace *pace)
{
	struct leader *leader = pace->live->leader;

	if (pace->building)
		return;
	loop_timer_stop(leader->loop, &pace->timer);
	pace->with_all = has_new_watcher(pace);
	pace->building = pool_submit_then(leader->pool, make, leader->loop, on_made, pace);
	if (!pace->building)
		start_in(pace, AGAIN_MS);
}

/* Who comes. */

static bool read_every(struct str query, uint64_t *ret_every)
{
	AUTO_FINI(buf) text = buf_limit(16);
	unsigned count = http_query_get(query, "every", &text);

	*ret_every = EVERY_DEFAULT;
	return !count ||
	       (count == 1 && !text.failed && str_to_number(buf_str(&text), paces[PACES - 1], ret_every) &&
		       *ret_every >= paces[0]);
}

static struct pace *pace_of(struct live *live, uint64_t every)
{
	size_t i = 0;

	while (live->paces[i].every_ms < every)
		i++;
	return &live->paces[i];
}

static struct watcher *watcher_new(
	struct pace *pace, struct http_request *request, const struct login_who *who)
{
	struct loop *loop = pace->live->leader->loop;
	struct watcher *watcher = xnew(struct watcher);

	*watcher = (struct watcher){ .waiting = { watcher_gone },
		.magic = WATCHER_MAGIC,
		.pace = pace,
		.pipe = pipe_new(loop, LIVE_PIPE),
		.who = *who,
		.until_ms = loop_now(loop) + LIVE_LONGEST_MS };
	list_push(&pace->watchers, &watcher->in_pace);
	pace->live->watchers++;
	pipe_on_room(watcher->pipe, on_room, watcher);
	http_request_set_context(request, watcher);
	return watcher;
}

static void watch(struct pace *pace, struct http_request *request, const struct login_who *who)
{
	struct watcher *watcher = watcher_new(pace, request, who);
	struct http_response *response = http_response_pipe(200, watcher->pipe, -1);

	http_response_header(response, "Content-Type", "text/event-stream");
	http_response_header(response, "Cache-Control", "no-store");
	http_response_header(response, "X-Content-Type-Options", "nosniff");
	http_response_header(response, "X-Accel-Buffering", "no");
	CHECK(pipe_write_whole(watcher->pipe, RETRY, sizeof(RETRY) - 1) == PIPE_OK);
	http_request_reply(request, response);
	start(pace);
}

static struct http_response *busy(const char *why)
{
	struct error err;

	(void)error_set(&err, ERROR_BUSY, NULL, "%s", why);
	return api_error_of(&err);
}

void live_serve(struct live *live, struct http_request *request, const struct login_who *who)
{
	uint64_t every;

	loop_assert(live->leader->loop);
	if (!read_every(http_request_query(request), &every))
		http_request_reply(
			request, api_error(400, "invalid", "every is a number of milliseconds, %u to %u",
					 paces[0], paces[PACES - 1]));
	else if (live->closed)
		http_request_reply(request, busy("this leader ends"));
	else if (live->watchers >= LIVE_WATCHERS)
		http_request_reply(request, busy("too many watch the cluster at this leader already"));
	else
		watch(pace_of(live, every), request, who);
}

void live_send_away(struct live *live)
{
	loop_assert(live->leader->loop);
	for (size_t i = 0; i < PACES; i++) {
		struct list *watchers = &live->paces[i].watchers;
		while (list_first(watchers))
			finish(LIST_OF(struct watcher, in_pace, list_first(watchers)));
	}
}

void live_close(struct live *live)
{
	live_send_away(live);
	live->closed = true;
}
