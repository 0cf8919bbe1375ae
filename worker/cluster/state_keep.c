/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/state_keep.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/few.h"
#include "common/gentle.h"
#include "common/least.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "worker/cluster/cluster_priv.h"
#include "worker/cluster/data_file.h"
#include "worker/cluster/state_file.h"

#define TOUCH_EVERY_MS 30000
#define REST           19 /* times as long as a whole one worked: a twentieth of a processor */
#define REST_MAX_MS    60000
#define SAY_MOST       10
#define SAY_SPAN_MS    60000

struct deltas {
	struct state_delta *first, **last; /* last: NULL where there is none */
	size_t bytes;
};

/* On its way through the pool. */
struct write {
	struct state *state, *before;
	struct deltas deltas; /* none: a whole one */
	struct state_file_end end;
	int64_t cost_us; /* of a whole one */
	bool ok;
};

struct state_keep {
	struct cluster *cluster;
	struct loop *loop;
	struct pool *pool;
	char *path;
	struct state *newest; /* is to be in the file */
	struct state *there;  /* is in it, or NULL; while one is written, that one's `before` */
	struct state_file_end end;
	struct deltas waiting;
	bool follows; /* what waits leads from what is there, or is being written, to the newest */
	struct write write;
	bool writing, touching, stopping;
	int64_t touched_ms;     /* when the file was last written or touched */
	int64_t rests_until_ms; /* from whole ones */
	struct loop_timer timer;
	struct few said;
};

static void deltas_add(struct deltas *deltas, struct str bytes)
{
	struct state_delta *delta = check_alloc(1, sizeof(*delta) + bytes.len);

	delta->next = NULL;
	delta->len = bytes.len;
	memcpy(delta->bytes, bytes.at, bytes.len);
	if (deltas->last)
		*deltas->last = delta;
	else
		deltas->first = delta;
	deltas->last = &delta->next;
	deltas->bytes += bytes.len;
}

static void deltas_clear(struct deltas *deltas)
{
	struct state_delta *next;

	for (struct state_delta *delta = deltas->first; delta; delta = next) {
		next = delta->next;
		free(delta);
	}
	*deltas = (struct deltas){ 0 };
}

/* ---- writing ---- */

static void say_failed(struct state_keep *keep, const struct error *err, const char *then)
{
	if (few_take(&keep->said, SAY_MOST, SAY_SPAN_MS, clock_ms()))
		log_warn("state.save", "error=%s %s", log_quote(str_of(err->text)), then);
}

static void write_whole(struct state_keep *keep)
{
	struct write *write = &keep->write;
	int64_t begun_us = clock_cpu_us();
	struct error err;

	gentle_begin();
	write->ok = state_file_save(keep->path, write->before, write->state, &write->end, &err);
	gentle_end();
	write->cost_us = clock_cpu_us() - begun_us;
	if (!write->ok)
		say_failed(keep, &err, "trying again");
}

/* `said` is ours while this runs: the loop says nothing meanwhile. */
static void write_run(void *arg)
{
	struct state_keep *keep = arg;
	struct write *write = &keep->write;
	struct error err;

	if (write->deltas.first) {
		write->ok = state_file_add(keep->path, &write->end, write->deltas.first, &err);
		if (!write->ok)
			say_failed(keep, &err, "writing it whole");
	}
	if (!write->ok)
		write_whole(keep);
	/* It may be the last reference, to a large one: no work for a loop. */
	if (write->ok)
		state_free(TAKE(write->before));
}

/* The same state may have come of another history. */
static bool is_same(const struct state *a, const struct state *b)
{
	return a && b && state_same(a, b) && history_same(state_history(a), state_history(b));
}

static void go_on(struct state_keep *keep);

static void forget_waiting(struct state_keep *keep)
{
	deltas_clear(&keep->waiting);
	keep->follows = false;
}

static void write_done(void *arg)
{
	struct state_keep *keep = arg;
	struct write *write = &keep->write;
	int64_t rest_ms = (int64_t)least((uint64_t)write->cost_us * REST / 1000, REST_MAX_MS);

	loop_assert(keep->loop);
	keep->writing = false;
	keep->end = write->end;
	if (write->ok) {
		keep->there = TAKE(write->state);
	} else {
		keep->there = TAKE(write->before);
		keep->end = (struct state_file_end){ 0 };
		forget_waiting(keep);
		rest_ms = (int64_t)most((uint64_t)rest_ms, KEEP_AGAIN_MS);
	}
	if (write->cost_us)
		keep->rests_until_ms = clock_ms() + rest_ms;
	state_free(write->state);
	deltas_clear(&write->deltas);
	*write = (struct write){ 0 };
	go_on(keep);
}

static void on_rested(void *arg)
{
	struct state_keep *keep = arg;

	loop_assert(keep->loop);
	go_on(keep);
}

static void start(struct state_keep *keep, bool whole)
{
	struct write *write = &keep->write;

	*write = (struct write){
		.state = state_ref(keep->newest), .before = TAKE(keep->there), .end = keep->end
	};
	if (!whole)
		write->deltas = keep->waiting;
	keep->writing = pool_submit_then(keep->pool, write_run, keep->loop, write_done, keep);
	if (!keep->writing) { /* the pool is full */
		keep->there = TAKE(write->before);
		state_free(write->state);
		*write = (struct write){ 0 };
		loop_timer_start(keep->loop, &keep->timer, KEEP_AGAIN_MS, on_rested, keep);
		return;
	}
	if (whole)
		deltas_clear(&keep->waiting);
	keep->waiting = (struct deltas){ 0 };
	keep->follows = true;
	keep->touched_ms = clock_ms();
}

/* Deltas are added while a whole one that is due rests; nothing but a whole one does where they don't lead to the newest. */
static void go_on(struct state_keep *keep)
{
	int64_t now = clock_ms(), rest_ms = keep->rests_until_ms - now;
	bool adds = keep->follows && keep->waiting.first && keep->end.chain.bytes;

	if (keep->writing || keep->touching || keep->stopping || !keep->newest ||
		is_same(keep->there, keep->newest))
		return;
	if (!adds && rest_ms > 0)
		loop_timer_start(keep->loop, &keep->timer, rest_ms, on_rested, keep);
	else
		start(keep, !adds || (rest_ms <= 0 && state_file_is_due(&keep->end, now)));
}

void state_keep_newest(
	struct state_keep *keep, const struct state *from, struct state *state, struct str delta)
{
	loop_assert(keep->loop);
	if (!is_same(keep->newest, state)) {
		if (keep->follows && delta.len && is_same(keep->newest, from) &&
			history_same(state_history(from), state_history(state)) &&
			keep->waiting.bytes + delta.len <= KEEP_WAITING_MAX)
			deltas_add(&keep->waiting, delta);
		else
			forget_waiting(keep);
		state_free(keep->newest);
		keep->newest = state_ref(state);
	}
	go_on(keep);
}

static void touch_run(void *arg)
{
	const struct state_keep *keep = arg;
	struct error err;

	if (!state_file_touch(keep->path, &err))
		log_warn("state.touch", "error=%s ignoring", log_quote(str_of(err.text)));
}

static void touch_done(void *arg)
{
	struct state_keep *keep = arg;

	loop_assert(keep->loop);
	keep->touching = false;
	go_on(keep);
}

void state_keep_touch(struct state_keep *keep)
{
	loop_assert(keep->loop);
	if (keep->writing || keep->touching || keep->stopping || !is_same(keep->there, keep->newest) ||
		clock_ms() - keep->touched_ms < TOUCH_EVERY_MS)
		return;
	keep->touched_ms = clock_ms();
	keep->touching = pool_submit_then(keep->pool, touch_run, keep->loop, touch_done, keep);
}

/* ---- reading ---- */

static void keep_unread(const struct state_keep *keep, const struct error *why)
{
	data_file_keep(keep->cluster, keep->path, why,
		"this worker serves by the state before it, or, without one, nothing until a leader answers");
	(void)unlink(keep->path);
}

/* The end is missing: what was being written when the power went. Or there is damage in the middle, which people may want to look at. */
static void say_left(const struct state_keep *keep, const char *path, const struct state_file_read *read)
{
	const struct state_chain_read *chain = &read->chain;

	log_warn("state.cut",
		"path=%s offset=%" PRIu64 " left=%" PRIu64 " revision=%" PRIu64
		" error=%s serving the state before it",
		log_quote(str_of(path)), chain->chain.bytes, chain->left, state_revision(chain->state),
		log_quote(str_of(chain->why.text)));
	if (chain->damaged && !strcmp(path, keep->path))
		data_file_keep(keep->cluster, keep->path, &chain->why,
			"this worker serves by what stands before the damage, until a leader answers");
}

static bool load_from(struct state_keep *keep, unsigned place, struct state_file_read *ret)
{
	AUTO_FINI(buf) path = buf_limit(4096);
	struct error err;

	state_file_path(keep->path, place, &path);
	if (state_file_read(buf_text(&path), ret, &err)) {
		if (ret->chain.left)
			say_left(keep, buf_text(&path), ret);
		return true;
	}
	if (err.kind != ERROR_UNKNOWN && !place)
		keep_unread(keep, &err);
	else if (err.kind != ERROR_UNKNOWN)
		log_warn("state.load", "error=%s ignoring", log_quote(str_of(err.text)));
	return false;
}

bool state_keep_load(struct state_keep *keep, struct state_kept *ret)
{
	struct state_file_read read;

	for (unsigned place = 0; place < STATE_FILES; place++) {
		if (!load_from(keep, place, &read))
			continue;
		*ret = (struct state_kept){
			.state = read.chain.state, .age_ms = read.age_ms, .place = place
		};
		/* An older one was read because the newest is damaged: that one is not kept. */
		if (!place) {
			keep->there = state_ref(read.chain.state);
			keep->newest = state_ref(read.chain.state);
			keep->end = read.end;
			keep->follows = true;
		}
		return true;
	}
	return false;
}

/* ---- life ---- */

struct state_keep *state_keep_new(struct cluster *cluster)
{
	struct state_keep *keep = xnew(struct state_keep);
	AUTO_FINI(buf) path = buf_limit(4096);

	keep->cluster = cluster;
	keep->loop = cluster->run.loop;
	keep->pool = cluster->run.pool;
	if (cluster->settings.state_file)
		buf_puts(&path, cluster->settings.state_file);
	else
		buf_format(&path, "%s/state.bin", cluster->settings.data);
	keep->path = check_strdup(buf_text(&path));
	return keep;
}

const char *state_keep_path(const struct state_keep *keep)
{
	return keep->path;
}

void state_keep_stop(struct state_keep *keep)
{
	loop_assert(keep->loop);
	keep->rests_until_ms = 0;
	go_on(keep);
	keep->stopping = true;
	loop_timer_stop(keep->loop, &keep->timer);
}

void state_keep_free(struct state_keep *keep)
{
	if (!keep)
		return;
	deltas_clear(&keep->waiting);
	deltas_clear(&keep->write.deltas);
	state_free(keep->write.state);
	state_free(keep->write.before);
	state_free(keep->newest);
	state_free(keep->there);
	free(keep->path);
	free(keep);
}
