/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/chores/chores.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"

#define REST_TIMES 9

struct row {
	struct chores *chores;
	struct chore chore;
	/* The loop's. */
	int64_t due_ms;
	bool is_out; /* at the pool */
	/* Under the lock. */
	struct chore_stats stats;
	bool asked_dry;    /* with stats.asked */
	atomic_bool woken; /* since the last run began: it is due so soon */
	_Atomic int64_t soon_ms;
	atomic_bool stop; /* the run under way, or the one that is ready, is to end */
	/* The run's: one at a time. */
	bool failing;
};

struct chores {
	struct loop *loop;
	struct pool *pool;
	chores_load_f *load;
	void *load_arg;
	struct loop_timer timer;
	atomic_bool stopping;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a run has ended, or did not begin; the stop */
	struct row rows[CHORES_MAX];
	size_t len;
};

struct chore_turn {
	struct chores *chores;
	struct row *row;
	bool asked, dry_run, refused;
	int64_t slice_us; /* when it began */
	uint64_t begun;   /* requests until then */
};

struct chores *chores_new(struct loop *loop, struct pool *pool, chores_load_f *load, void *load_arg)
{
	struct chores *chores = xnew(struct chores);
	pthread_condattr_t attr;

	chores->loop = loop;
	chores->pool = pool;
	chores->load = load;
	chores->load_arg = load_arg;
	CHECK(!pthread_condattr_init(&attr) && !pthread_condattr_setclock(&attr, CLOCK_MONOTONIC));
	CHECK(!pthread_mutex_init(&chores->lock, NULL));
	CHECK(!pthread_cond_init(&chores->changed, &attr));
	(void)pthread_condattr_destroy(&attr);
	return chores;
}

void chores_free(struct chores *chores)
{
	if (!chores)
		return;
	for (size_t i = 0; i < chores->len; i++)
		CHECK(!chores->rows[i].is_out);
	(void)pthread_cond_destroy(&chores->changed);
	(void)pthread_mutex_destroy(&chores->lock);
	free(chores);
}

void chores_add(struct chores *chores, const struct chore *chore)
{
	struct row *row = &chores->rows[chores->len++];

	loop_assert(chores->loop);
	CHECK(chores->len <= CHORES_MAX && chore->run && strlen(chore->name) <= CHORE_NAME_MAX);
	*row = (struct row){ .chores = chores, .chore = *chore, .stats.name = chore->name };
}

void chores_add_dry(struct chores *chores, const struct chore *chore)
{
	chores_add(chores, chore);
	chores->rows[chores->len - 1].stats.can_dry_run = true;
}

/* ---- a run ---- */

/* A request came since the last slice, or is under way. */
static bool is_busy(struct chore_turn *turn)
{
	struct chores_load load = turn->chores->load(turn->chores->load_arg);
	bool busy = load.open || load.begun != turn->begun;

	turn->begun = load.begun;
	return busy;
}

static struct timespec in_us(int64_t us)
{
	struct timespec at;

	CHECK(clock_gettime(CLOCK_MONOTONIC, &at) == 0);
	at.tv_sec += us / 1000000;
	at.tv_nsec += us % 1000000 * 1000;
	at.tv_sec += at.tv_nsec / 1000000000;
	at.tv_nsec %= 1000000000;
	return at;
}

static bool is_to_end(const struct chore_turn *turn)
{
	return atomic_load_explicit(&turn->chores->stopping, memory_order_relaxed) ||
	       atomic_load_explicit(&turn->row->stop, memory_order_relaxed);
}

/* Until the time is over, or it is to end. */
static void rest(const struct chore_turn *turn, int64_t us)
{
	struct chores *chores = turn->chores;
	const int64_t most = CHORE_REST_MAX_MS * INT64_C(1000);
	struct timespec until = in_us(us < most ? us : most);
	int failed = 0;

	(void)pthread_mutex_lock(&chores->lock);
	while (!failed && !is_to_end(turn))
		failed = pthread_cond_timedwait(&chores->changed, &chores->lock, &until);
	(void)pthread_mutex_unlock(&chores->lock);
	CHECK(!failed || failed == ETIMEDOUT);
}

bool chore_may_go_on(struct chore_turn *turn)
{
	struct chores *chores = turn->chores;

	if (is_to_end(turn))
		return false;
	if (clock_us() - turn->slice_us < CHORE_SLICE_MS * INT64_C(1000))
		return true;
	if (is_busy(turn))
		rest(turn, (clock_us() - turn->slice_us) * REST_TIMES);
	pool_give_way(chores->pool);
	turn->slice_us = clock_us();
	return !is_to_end(turn);
}

static bool go_on(void *arg)
{
	return chore_may_go_on(arg);
}

struct pace chore_pace(struct chore_turn *turn)
{
	return (struct pace){ go_on, turn };
}

/* ---- what it says of itself ---- */

bool chore_is_asked(const struct chore_turn *turn)
{
	return turn->asked;
}

bool chore_is_dry(const struct chore_turn *turn)
{
	return turn->dry_run;
}

static struct chore_work *work_lock(struct chore_turn *turn)
{
	(void)pthread_mutex_lock(&turn->chores->lock);
	return &turn->row->stats.work;
}

static void work_unlock(struct chore_turn *turn)
{
	(void)pthread_mutex_unlock(&turn->chores->lock);
}

void chore_works(struct chore_turn *turn, const char *unit, uint64_t total)
{
	struct chore_work *work = work_lock(turn);

	work->unit = unit;
	work->total = total;
	work_unlock(turn);
}

static void copy_text(struct str text, char *into, size_t size)
{
	(void)snprintf(into, size, "%.*s", STR_ARGS(text));
}

void chore_takes(struct chore_turn *turn, struct str what)
{
	struct chore_work *work = work_lock(turn);

	work->done += work->at[0] != '\0';
	copy_text(what, work->at, sizeof(work->at));
	work_unlock(turn);
}

void chore_did(struct chore_turn *turn, uint64_t done)
{
	struct chore_work *work = work_lock(turn);

	work->done = done;
	work_unlock(turn);
}

void chore_counts(struct chore_turn *turn, uint64_t removed, uint64_t bytes)
{
	struct chore_work *work = work_lock(turn);

	work->removed += removed;
	work->bytes += bytes;
	work_unlock(turn);
}

void chore_goes_on(struct chore_turn *turn, bool goes_on)
{
	(void)work_lock(turn);
	turn->row->stats.goes_on = goes_on;
	work_unlock(turn);
}

static void tell_would(void *arg, const char *what)
{
	struct chore_turn *turn = arg;
	struct chore_work *work = work_lock(turn);
	uint64_t nth = ++work->removed;

	work_unlock(turn);
	if (nth <= CHORE_WOULD_LINES)
		log_info("chore.would", "chore=%s what=%s", turn->row->chore.name, log_quote(str_of(what)));
}

struct would chore_would(struct chore_turn *turn)
{
	return (struct would){ tell_would, turn };
}

bool chore_refuse(struct chore_turn *turn, struct error *err, const char *format, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	turn->refused = true;
	return error_set(err, ERROR_CONFLICT, NULL, "%s", text);
}

/* ---- its begin and its end ---- */

static enum chore_state state_at_rest(const struct row *row)
{
	return row->chore.every_ms || !row->stats.runs ? CHORE_WAITING : CHORE_OVER;
}

static void set_state_locked(struct row *row, enum chore_state state)
{
	row->stats.state = state;
	(void)pthread_cond_broadcast(&row->chores->changed);
}

static void begin_run(struct row *row, struct chore_turn *turn)
{
	struct chore_stats *stats = &row->stats;

	(void)pthread_mutex_lock(&row->chores->lock);
	turn->asked = stats->asked;
	turn->dry_run = stats->goes_on ? stats->work.dry_run : stats->asked && row->asked_dry;
	stats->asked = false;
	if (!stats->goes_on) {
		stats->work = (struct chore_work){ .dry_run = turn->dry_run };
		stats->began_ms = clock_ms();
		stats->began_s = clock_wall_s();
	}
	set_state_locked(row, CHORE_RUNNING);
	(void)pthread_mutex_unlock(&row->chores->lock);
}

static void keep_last_locked(struct row *row, enum chore_how how, const char *why)
{
	struct chore_last *last = &row->stats.last;

	*last = (struct chore_last){ .how = how, .ended_s = clock_wall_s() };
	copy_text(str_of(why), last->why, sizeof(last->why));
}

/* What it worked at is done, where it came to its end. */
static void keep_run_locked(struct row *row, enum chore_how how, const char *why)
{
	struct chore_last *last = &row->stats.last;

	keep_last_locked(row, how, why);
	last->took_ms = (uint64_t)(clock_ms() - row->stats.began_ms);
	last->work = row->stats.work;
	last->work.done += how == CHORE_DONE && last->work.at[0];
	last->work.at[0] = '\0';
}

static void note_run_locked(struct row *row, enum chore_how how, uint64_t us)
{
	struct chore_stats *stats = &row->stats;

	stats->runs++;
	stats->worked_us += us;
	stats->ended_s = clock_wall_s();
	if (how == CHORE_FAILED) {
		stats->failures++;
		stats->failed_ms = clock_ms();
	}
	if (stats->work.unit) {
		stats->times.buckets[chore_bucket(us)]++;
		stats->times.sum_us += us;
	}
}

static void end_run(
	struct row *row, const struct chore_turn *turn, int64_t began_us, enum chore_how how, const char *why)
{
	struct chore_stats *stats = &row->stats;
	uint64_t us = (uint64_t)(clock_us() - began_us);

	(void)pthread_mutex_lock(&row->chores->lock);
	note_run_locked(row, how, us);
	if (how == CHORE_STOPPED)
		stats->goes_on = false;
	if (how != CHORE_DONE || (!stats->goes_on && (stats->work.unit || turn->asked)))
		keep_run_locked(row, how, why);
	if (!stats->goes_on) {
		stats->work = (struct chore_work){ 0 };
		atomic_store(&row->stop, false);
	}
	set_state_locked(row, state_at_rest(row));
	(void)pthread_mutex_unlock(&row->chores->lock);
}

static enum chore_how how_of(const struct row *row, const struct chore_turn *turn, bool ok)
{
	if (turn->refused)
		return CHORE_REFUSED;
	if (atomic_load(&row->stop))
		return CHORE_STOPPED;
	return ok ? CHORE_DONE : CHORE_FAILED;
}

static void tell(struct row *row, enum chore_how how, const struct error *err)
{
	if (how == CHORE_DONE && row->failing)
		log_info("chore.works", "chore=%s", row->chore.name);
	if (how == CHORE_FAILED && !row->failing)
		log_warn("chore.failed", "chore=%s error=%s", row->chore.name, log_quote(str_of(err->text)));
	if (how == CHORE_STOPPED)
		log_info("chore.stopped", "chore=%s", row->chore.name);
	if (how == CHORE_REFUSED)
		log_info("chore.refused", "chore=%s why=%s", row->chore.name, log_quote(str_of(err->text)));
	if (how == CHORE_DONE || how == CHORE_FAILED)
		row->failing = how == CHORE_FAILED;
}

static void give_up(const struct row *row)
{
	if (row->chore.stopped)
		row->chore.stopped(row->chore.arg);
}

static void run_whole(struct row *row)
{
	struct chore_turn turn = { .chores = row->chores, .row = row, .slice_us = clock_us() };
	int64_t began_us = turn.slice_us;
	struct error err = { .text = "" };
	enum chore_how how;
	bool ok;

	atomic_store(&row->woken, false);
	begin_run(row, &turn);
	ok = row->chore.run(&turn, row->chore.arg, &err);
	how = how_of(row, &turn, ok);
	if (how == CHORE_STOPPED)
		give_up(row);
	tell(row, how, &err);
	end_run(row, &turn, began_us, how, how == CHORE_FAILED || how == CHORE_REFUSED ? err.text : "");
}

/* It was ready, and is not to run: all ends, or somebody said so. */
static void skip(struct row *row)
{
	if (!atomic_load(&row->chores->stopping))
		give_up(row);
	(void)pthread_mutex_lock(&row->chores->lock);
	row->stats.asked = false;
	if (!atomic_load(&row->chores->stopping)) {
		if (row->stats.goes_on)
			keep_run_locked(row, CHORE_STOPPED, "");
		else
			keep_last_locked(row, CHORE_STOPPED, "");
		row->stats.goes_on = false;
		row->stats.work = (struct chore_work){ 0 };
	}
	atomic_store(&row->stop, false);
	set_state_locked(row, state_at_rest(row));
	(void)pthread_mutex_unlock(&row->chores->lock);
}

static void on_ended(void *arg);

static void run_row(void *arg)
{
	struct row *row = arg;

	if (!atomic_load(&row->chores->stopping) && !atomic_load(&row->stop))
		run_whole(row);
	else
		skip(row);
	loop_post(row->chores->loop, on_ended, row);
}

/* ---- when ---- */

static void on_timer(void *arg);

/* The timer stands at the soonest of those that are not out. */
static void set_timer(struct chores *chores)
{
	int64_t soonest = INT64_MAX, now = clock_ms();

	for (size_t i = 0; i < chores->len; i++)
		if (!chores->rows[i].is_out && chores->rows[i].due_ms < soonest)
			soonest = chores->rows[i].due_ms;
	if (soonest == INT64_MAX || atomic_load(&chores->stopping))
		loop_timer_stop(chores->loop, &chores->timer);
	else
		loop_timer_start(chores->loop, &chores->timer, soonest - now, on_timer, chores);
}

static void set_ready(struct row *row, int64_t now_ms)
{
	(void)pthread_mutex_lock(&row->chores->lock);
	row->stats.ready_ms = now_ms;
	set_state_locked(row, CHORE_READY);
	(void)pthread_mutex_unlock(&row->chores->lock);
}

static void on_timer(void *arg)
{
	struct chores *chores = arg;
	int64_t now = clock_ms();

	loop_assert(chores->loop);
	for (size_t i = 0; i < chores->len && !atomic_load(&chores->stopping); i++) {
		struct row *row = &chores->rows[i];

		if (row->is_out || row->due_ms > now)
			continue;
		row->is_out = true;
		set_ready(row, now);
		pool_push_background(chores->pool, run_row, row);
	}
	set_timer(chores);
}

static bool is_asked(struct row *row)
{
	bool asked;

	(void)pthread_mutex_lock(&row->chores->lock);
	asked = row->stats.asked;
	(void)pthread_mutex_unlock(&row->chores->lock);
	return asked;
}

static void on_ended(void *arg)
{
	struct row *row = arg;
	int64_t now = clock_ms();

	loop_assert(row->chores->loop);
	row->is_out = false;
	row->due_ms = row->chore.every_ms ? now + row->chore.every_ms : INT64_MAX;
	if (atomic_load(&row->woken))
		row->due_ms = now + atomic_load(&row->soon_ms);
	if (is_asked(row))
		row->due_ms = now;
	set_timer(row->chores);
}

static void on_woken(void *arg)
{
	struct row *row = arg;
	int64_t soon_ms = clock_ms() + atomic_load(&row->soon_ms);

	loop_assert(row->chores->loop);
	if (row->is_out || row->due_ms <= soon_ms || !atomic_load(&row->woken))
		return;
	row->due_ms = soon_ms;
	set_timer(row->chores);
}

/* ---- who asks ---- */

static void on_asked(void *arg)
{
	struct row *row = arg;

	loop_assert(row->chores->loop);
	if (row->is_out || !is_asked(row))
		return;
	row->due_ms = clock_ms();
	set_timer(row->chores);
}

static struct row *find(struct chores *chores, struct str name)
{
	for (size_t i = 0; i < chores->len; i++)
		if (str_is(name, chores->rows[i].chore.name))
			return &chores->rows[i];
	return NULL;
}

void chores_wake(struct chores *chores, struct str name, int64_t soon_ms)
{
	struct row *row = find(chores, name);

	if (!row || atomic_load(&chores->stopping))
		return;
	atomic_store(&row->soon_ms, soon_ms);
	if (!atomic_exchange(&row->woken, true))
		loop_post(chores->loop, on_woken, row);
}

static void put_names(const struct chores *chores, bool dry, struct buf *into)
{
	for (size_t i = 0; i < chores->len; i++)
		if (!dry || chores->rows[i].stats.can_dry_run)
			buf_format(into, "%s%s", into->len ? ", " : "", chores->rows[i].chore.name);
}

static bool refuse_name(const struct chores *chores, struct str name, struct error *err)
{
	AUTO_FINI(buf) all = buf_limit(CHORES_MAX * (CHORE_NAME_MAX + 2));
	const char *names[CHORES_MAX], *near;

	for (size_t i = 0; i < chores->len; i++)
		names[i] = chores->rows[i].chore.name;
	near = str_nearest(name, names, chores->len);
	put_names(chores, false, &all);
	return error_set(err, ERROR_UNKNOWN, NULL, "there is no chore \"%.*s\" here%s%s%s; there are: %s",
		(int)(name.len < 40 ? name.len : 40), name.at, near ? "; did you mean \"" : "",
		near ? near : "", near ? "\"?" : "", buf_text(&all));
}

static bool refuse_dry(const struct chores *chores, const struct row *row, struct error *err)
{
	AUTO_FINI(buf) able = buf_limit(CHORES_MAX * (CHORE_NAME_MAX + 2));

	put_names(chores, true, &able);
	return error_set(err, ERROR_INVALID, NULL, "the chore \"%s\" has no dry run; these have one: %s",
		row->chore.name, able.len ? buf_text(&able) : "none");
}

/* One that looks whether it is time is not at work. */
static bool is_at_work_locked(const struct row *row)
{
	return row->stats.goes_on || (row->stats.state == CHORE_RUNNING && row->stats.work.unit);
}

static bool start_locked(struct row *row, bool dry_run, struct error *err)
{
	if (is_at_work_locked(row) || row->stats.asked)
		return error_set(err, ERROR_CONFLICT, NULL, "the chore \"%s\" %s already", row->chore.name,
			row->stats.asked ? "is about to run" : "runs");
	row->stats.asked = true;
	row->asked_dry = dry_run;
	return true;
}

/* One that waits for its turn, and not for its time. */
static bool is_late_locked(const struct row *row)
{
	return row->stats.state == CHORE_READY &&
	       (row->stats.asked || clock_ms() - row->stats.ready_ms >= CHORE_LATE_MS);
}

static bool stop_locked(struct row *row, struct error *err)
{
	bool ends = is_at_work_locked(row) || is_late_locked(row);

	if (!ends && !row->stats.asked)
		return error_set(err, ERROR_CONFLICT, NULL, "the chore \"%s\" does not run", row->chore.name);
	if (ends) {
		atomic_store(&row->stop, true);
		(void)pthread_cond_broadcast(&row->chores->changed);
	}
	row->stats.asked = false;
	return true;
}

static bool ask_locked(struct row *row, const struct chore_order *order, struct error *err)
{
	bool ok;

	if (order->id && order->id == row->stats.order)
		return true;
	if (order->id)
		row->stats.order = order->id;
	if (order->dry_run && !row->stats.can_dry_run)
		ok = refuse_dry(row->chores, row, err);
	else
		ok = order->stop ? stop_locked(row, err) : start_locked(row, order->dry_run, err);
	if (!ok && order->id)
		keep_last_locked(row, CHORE_REFUSED, err->text);
	return ok;
}

bool chores_ask(struct chores *chores, struct str name, const struct chore_order *order, struct error *err)
{
	struct row *row = find(chores, name);
	bool ok;

	if (!row)
		return refuse_name(chores, name, err);
	if (atomic_load(&chores->stopping))
		return error_set(err, ERROR_UNAVAILABLE, NULL, "this worker ends");
	(void)pthread_mutex_lock(&chores->lock);
	ok = ask_locked(row, order, err);
	(void)pthread_mutex_unlock(&chores->lock);
	if (ok && !order->stop)
		loop_post(chores->loop, on_asked, row);
	return ok;
}

void chores_start(struct chores *chores)
{
	loop_assert(chores->loop);
	for (size_t i = 0; i < chores->len; i++)
		chores->rows[i].due_ms = clock_ms() + chores->rows[i].chore.first_ms;
	set_timer(chores);
}

void chores_stop(struct chores *chores)
{
	if (!chores)
		return;
	(void)pthread_mutex_lock(&chores->lock);
	atomic_store(&chores->stopping, true);
	(void)pthread_cond_broadcast(&chores->changed);
	(void)pthread_mutex_unlock(&chores->lock);
}

static bool is_under_way_locked(const struct chores *chores)
{
	for (size_t i = 0; i < chores->len; i++)
		if (chores->rows[i].stats.state == CHORE_READY ||
			chores->rows[i].stats.state == CHORE_RUNNING)
			return true;
	return false;
}

void chores_await_end(struct chores *chores)
{
	if (!chores)
		return;
	CHECK(atomic_load(&chores->stopping));
	(void)pthread_mutex_lock(&chores->lock);
	while (is_under_way_locked(chores))
		(void)pthread_cond_wait(&chores->changed, &chores->lock);
	(void)pthread_mutex_unlock(&chores->lock);
}

size_t chores_stats(struct chores *chores, struct chore_stats into[CHORES_MAX])
{
	(void)pthread_mutex_lock(&chores->lock);
	for (size_t i = 0; i < chores->len; i++)
		into[i] = chores->rows[i].stats;
	(void)pthread_mutex_unlock(&chores->lock);
	return chores->len;
}
