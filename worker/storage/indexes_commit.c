/* SPDX-License-Identifier: Apache-2.0 */
/*
 * indexes_commit - one committer for each repository takes all that waits and writes it at once.
 *
 *     take the queue -> apply to the view in memory -> write if the store still has it -> done() each
 *
 * Writing is appending to the log, or a new index.json where there is no log or it has grown.
 *
 * The write itself proves that the view was the newest, so nothing is asked before. Where nothing is
 * written (a push of what is there, the deletion of what is not) the view must be known to be true first.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/log.h"
#include "common/pool.h"
#include "proto/name.h"
#include "worker/storage/indexes_priv.h"

#define ATTEMPTS_MAX 60
#define PAUSE_MIN_US 1000
#define PAUSE_MAX_US 50000
/* A log is folded when it is a quarter of its index.json, but not before log_least and at the latest at this.
 */
#define LOG_MOST (16u * 1024 * 1024)
/* Where a log goes on it is folded after so many records too: who loads it asks for each. */
#define LOG_RECORDS_MOST 256
/* An append that took so long may have met a log whose records were removed. */
#define APPEND_MOST_US (STORE_LOG_KEEP_US - 60 * INT64_C(1000000))

struct commit {
	struct repository *repository;
	struct indexes *indexes;
	struct index_change *batch;
	struct index *base; /* what the changes are applied to; NULL: there is no such repository */
	bool known;         /* base is what the store had, or has when the write goes through */
	bool fresh;         /* base was true after the batch was taken, or may be trusted */
	int64_t seen_us;    /* when base was last true; 0: that is not known */
	struct index *draft;
	bool changed, refused; /* some change changed the draft; some was refused */
	bool fold;             /* the log is to be folded, whatever else */
};

enum commit_step { COMMIT_DONE, COMMIT_CONFLICT, COMMIT_FAILED };

/* Full jitter, growing: many workers on one repository get through one after the other. */
static void pause_before(unsigned attempt)
{
	uint64_t most = attempt < 6 ? (uint64_t)PAUSE_MIN_US << attempt : PAUSE_MAX_US;
	uint64_t us = random_below((most < PAUSE_MAX_US ? most : PAUSE_MAX_US) + 1);
	struct timespec left = { .tv_nsec = (long)us * 1000 };

	(void)nanosleep(&left, NULL);
}

/* ---- the base ---- */

static void set_base(struct commit *c, struct index *base)
{
	index_free(c->base);
	c->base = base;
	c->known = true;
}

/* What is in memory, as it is. */
static void take_view(struct commit *c)
{
	struct indexes *indexes = c->indexes;
	int64_t trust_ms = indexes->trust(indexes->trust_arg, str_of(c->repository->name));

	indexes_lock(indexes);
	if (c->repository->view) {
		set_base(c, index_ref(c->repository->view));
		c->seen_us = c->repository->seen_us;
		c->fresh = indexes_is_fresh(c->repository, trust_ms, clock_us());
	}
	indexes_unlock(indexes);
}

static bool reload(struct commit *c, struct error *err)
{
	int64_t asked_us = clock_us();
	struct index *found = NULL;
	struct error cause;

	if (!indexes_load(c->indexes, str_of(c->repository->name), c->base, c->seen_us, &found, &cause) &&
		cause.kind != ERROR_UNKNOWN) {
		*err = cause;
		return false;
	}
	set_base(c, found);
	c->seen_us = asked_us;
	c->fresh = true;
	return true;
}

/* ---- the view ---- */

static void begin_write(struct commit *c)
{
	indexes_lock(c->indexes);
	c->repository->writes++;
	c->indexes->stats.writes++;
	indexes_unlock(c->indexes);
}

/* view NULL: the write has failed; what is in memory may be old then, so it
 * is not believed before the store was asked. */
static void end_write(struct commit *c, struct index *view, int64_t started_us, bool conflict)
{
	AUTO(index) *before = NULL;

	indexes_lock(c->indexes);
	c->repository->writes++;
	c->indexes->stats.conflicts += conflict;
	c->indexes->stats.folds += view && c->base && c->base->log.bytes && !view->log.bytes;
	c->repository->wrote_us = clock_us();
	if (view)
		before = indexes_set_view_locked(c->repository, view, started_us);
	else
		c->repository->validated_us = 0;
	indexes_unlock(c->indexes);
}

/* A batch that wrote nothing may have learnt what the store has. */
static void keep_base(struct commit *c, int64_t asked_us)
{
	AUTO(index) *before = NULL;

	indexes_lock(c->indexes);
	if (asked_us >= c->repository->validated_us)
		before =
			indexes_set_view_locked(c->repository, c->base ? index_ref(c->base) : NULL, asked_us);
	indexes_unlock(c->indexes);
}

/* ---- one attempt ---- */

static void apply_one(struct commit *c, struct index_change *change, bool *exists)
{
	bool changed = false;

	if (change->op == INDEX_FOLD) {
		change->ok = true;
		c->fold = c->base && c->base->log.bytes;
		return;
	}
	if (change->op != INDEX_PUT_MANIFEST && !*exists)
		change->ok =
			error_set(&change->err, ERROR_UNKNOWN, "NAME_UNKNOWN", "there is no such repository");
	else
		change->ok = index_apply(c->draft, change, &changed, &change->err);
	change->changed = changed;
	c->changed = c->changed || changed;
	c->refused = c->refused || !change->ok;
	*exists = *exists || change->ok;
}

static void apply(struct commit *c)
{
	bool exists = c->base != NULL;

	index_free(c->draft);
	c->draft = index_draft(c->base);
	c->changed = c->refused = c->fold = false;
	for (struct index_change *change = c->batch; change; change = change->next)
		apply_one(c, change, &exists);
}

static void fail(struct commit *c, const struct error *err)
{
	for (struct index_change *change = c->batch; change; change = change->next) {
		change->ok = false;
		change->err = *err;
	}
}

/* A write whose answer is not clear may have been done: the store is asked for the result. */
static bool look_whether_written(struct commit *c, struct str text, struct store_version *ret)
{
	AUTO_FINI(buf) there = buf_limit(INDEX_JSON_MAX);
	struct error ignored;

	return store_index_get(c->indexes->store, str_of(c->repository->name), &there, ret, &ignored) &&
	       str_equal(buf_str(&there), text);
}

static enum commit_step finish_write(struct commit *c, enum store_step step, int64_t started_us)
{
	if (step == STORE_OK) {
		end_write(c, TAKE(c->draft), started_us, false);
		return COMMIT_DONE;
	}
	end_write(c, NULL, 0, step == STORE_CONFLICT);
	return step == STORE_CONFLICT ? COMMIT_CONFLICT : COMMIT_FAILED;
}

/* What was put lazily must be durable before an index.json says so: this batch's, and what the log had. */
static bool sync_lazy(const struct commit *c, struct error *err)
{
	bool lazy = c->base && c->base->log.bytes;

	for (const struct index_change *change = c->batch; change && !lazy; change = change->next)
		lazy = change->bytes.len > 0;
	return !lazy || store_sync(c->indexes->store, err);
}

/* A log that goes on keeps its generation: what others append meanwhile stays in force. */
static void name_log(const struct commit *c)
{
	struct store_log_place *log = &c->draft->log;

	log->bytes = 0;
	if (log->generation[0] && store_log_goes_on(c->indexes->store))
		return;
	*log = (struct store_log_place){ .at = 0 };
	if (store_has_log(c->indexes->store))
		random_hex(log->generation, 16);
}

static enum commit_step write_json(struct commit *c, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(INDEX_JSON_MAX);
	const struct store_version nothing = { .text = "" };
	const struct store_log_place no_log = { .at = 0 };
	struct store_version version = { .text = "" };
	int64_t started_us = clock_us();
	enum store_step step;

	name_log(c);
	if (!index_json_write(c->draft, &text, err) || !sync_lazy(c, err))
		return COMMIT_FAILED;
	begin_write(c);
	step = store_index_fold(c->indexes->store, str_of(c->repository->name), buf_str(&text),
		c->base ? &c->base->version : &nothing, c->base ? &c->base->log : &no_log, &version, err);
	if (step == STORE_FAILED && look_whether_written(c, buf_str(&text), &version))
		step = STORE_OK;
	c->draft->version = version;
	c->draft->json_bytes = text.len;
	c->draft->json_at = c->draft->log.at;
	if (step == STORE_OK && c->draft->log.at)
		indexes_clean_later(c->indexes, c->repository->name, &c->draft->log);
	/* Its log may tell us nothing of the index.json that was in the way. */
	if (step == STORE_CONFLICT)
		c->seen_us = 0;
	return finish_write(c, step, started_us);
}

static bool has_log(const struct commit *c)
{
	return c->base && c->base->log.generation[0] && store_has_log(c->indexes->store);
}

static bool collect_frames(const struct commit *c, struct buf *frames)
{
	for (const struct index_change *change = c->batch; change; change = change->next)
		if (change->ok && change->changed && !index_log_add(change, frames))
			return false;
	return !frames->failed;
}

static bool log_is_full(const struct indexes *indexes, const struct index *view, size_t more)
{
	size_t quarter = view->json_bytes / 4;
	size_t most = quarter > indexes->log_least ? quarter : indexes->log_least;

	return view->log.bytes + more > (most < LOG_MOST ? most : LOG_MOST) ||
	       (store_log_goes_on(indexes->store) && view->log.at - view->json_at >= LOG_RECORDS_MOST);
}

static enum commit_step append(struct commit *c, struct str frames, struct error *err)
{
	int64_t started_us = clock_us();
	enum store_step step;

	begin_write(c);
	step = store_log_append(c->indexes->store, str_of(c->repository->name), &c->base->version,
		&c->draft->log, frames, err);
	if (step == STORE_OK && store_log_goes_on(c->indexes->store) &&
		clock_us() - c->seen_us > APPEND_MOST_US) {
		c->seen_us = 0;
		step = STORE_CONFLICT;
	}
	return finish_write(c, step, started_us);
}

/* Where a log ends by folding, a batch that is one too many goes into the new index.json itself. */
static enum commit_step write_ending_log(struct commit *c, struct error *err)
{
	AUTO_FINI(buf) frames = buf_limit(LOG_MOST);

	if (!has_log(c) || c->fold || !collect_frames(c, &frames) ||
		log_is_full(c->indexes, c->base, frames.len))
		return write_json(c, err);
	return append(c, buf_str(&frames), err);
}

/* Where it goes on, a batch needs its place in the order of records, whatever else; folding comes behind it.
 */
static enum commit_step write_lasting_log(struct commit *c, struct error *err)
{
	AUTO_FINI(buf) frames = buf_limit(LOG_MOST);
	enum commit_step step;

	if (!has_log(c) || !c->changed)
		return write_json(c, err);
	if (!collect_frames(c, &frames)) {
		(void)error_set(
			err, ERROR_TOO_LARGE, NULL, "the changes are too large for one record of the index");
		return COMMIT_FAILED;
	}
	step = append(c, buf_str(&frames), err);
	c->repository->fold_due = c->fold;
	return step;
}

static enum commit_step write_draft(struct commit *c, struct error *err)
{
	return store_log_goes_on(c->indexes->store) ? write_lasting_log(c, err) : write_ending_log(c, err);
}

/* What lies behind such a view may be gone from the log. */
static bool is_too_old(const struct commit *c)
{
	return store_log_goes_on(c->indexes->store) && has_log(c) &&
	       !indexes_may_follow(c->indexes, c->base, c->seen_us);
}

static enum commit_step attempt(struct commit *c, struct error *err)
{
	int64_t asked_us = clock_us();
	bool asked = false;

	if (!c->known || is_too_old(c)) {
		if (!reload(c, err))
			return COMMIT_FAILED;
		asked = true;
	}
	apply(c);
	if ((!c->changed || c->refused) && !c->fresh) {
		asked_us = clock_us();
		if (!reload(c, err))
			return COMMIT_FAILED;
		asked = true;
		apply(c);
	}
	if (c->changed || c->fold)
		return write_draft(c, err);
	if (asked)
		keep_base(c, asked_us);
	return COMMIT_DONE;
}

static void commit_batch(struct repository *repository, struct index_change *batch);

/* A batch that is too large as a whole: each for itself. */
static void commit_singly(struct repository *repository, struct index_change *batch)
{
	while (batch) {
		struct index_change *next = batch->next;

		batch->next = NULL;
		commit_batch(repository, batch);
		batch->next = next;
		batch = next;
	}
}

static void commit_batch(struct repository *repository, struct index_change *batch)
{
	struct commit c = { .repository = repository, .indexes = repository->indexes, .batch = batch };
	enum commit_step step = COMMIT_CONFLICT;
	struct error err = { 0 };

	take_view(&c);
	for (unsigned i = 0; i < ATTEMPTS_MAX && step == COMMIT_CONFLICT; i++) {
		step = attempt(&c, &err);
		if (step == COMMIT_CONFLICT) {
			pause_before(i);
			c.known = c.fresh = false;
		}
	}
	index_free(c.draft);
	index_free(c.base);
	if (step == COMMIT_FAILED && err.kind == ERROR_TOO_LARGE && batch->next) {
		commit_singly(repository, batch);
		return;
	}
	if (step == COMMIT_CONFLICT)
		(void)error_set(&err, ERROR_BUSY, NULL, "the repository is changed too often by others");
	if (step != COMMIT_DONE)
		fail(&c, &err);
}

/* ---- the queue ---- */

static struct index_change *take_queue_locked(struct repository *repository)
{
	struct index_change *batch = repository->first;

	repository->first = NULL;
	repository->last = &repository->first;
	return batch;
}

static void tell(struct index_change *batch)
{
	while (batch) {
		struct index_change *next = batch->next; /* done() may free it */

		batch->next = NULL;
		batch->done(batch);
		batch = next;
	}
}

/* Behind the answers: they need not wait for it. */
static void fold_if_due(struct repository *repository)
{
	struct index_change fold = { .op = INDEX_FOLD, .name = repository->name };
	struct indexes *indexes = repository->indexes;
	bool due;

	indexes_lock(indexes);
	due = repository->view && repository->view->log.bytes && store_log_goes_on(indexes->store) &&
	      (repository->fold_due || log_is_full(indexes, repository->view, 0));
	indexes_unlock(indexes);
	repository->fold_due = false;
	if (!due)
		return;
	commit_batch(repository, &fold);
	if (!fold.ok)
		log_warn("index.fold", "repository=%s error=%s trying again later", repository->name,
			log_quote(str_of(fold.err.text)));
}

static void run_committer(void *arg)
{
	struct repository *repository = arg;
	struct indexes *indexes = repository->indexes;
	struct index_change *batch;

	indexes_lock(indexes);
	while ((batch = take_queue_locked(repository))) {
		indexes_unlock(indexes);
		commit_batch(repository, batch);
		tell(batch);
		fold_if_due(repository);
		indexes_lock(indexes);
	}
	repository->committing = false;
	indexes_unpin_unlock(repository);
	/* indexes_free() may be waiting for exactly this, so nothing of it is touched after the lock. */
	indexes_lock(indexes);
	if (--indexes->committers == 0)
		CHECK(pthread_cond_broadcast(&indexes->idle) == 0);
	indexes_unlock(indexes);
}

/* True: the repository had no committer, the caller starts it. */
static bool enqueue(struct indexes *indexes, struct index_change *change, struct repository **ret)
{
	struct repository *repository;
	bool start;

	change->next = NULL;
	change->ok = false;
	indexes_lock(indexes);
	repository = indexes_pin_locked(indexes, str_of(change->name));
	*repository->last = change;
	repository->last = &change->next;
	indexes->stats.changes++;
	start = !repository->committing;
	if (start) {
		repository->committing = true;
		indexes->committers++;
	} else {
		repository->pins--; /* the committer has one */
	}
	indexes_unlock(indexes);
	*ret = repository;
	return start;
}

void indexes_change(struct indexes *indexes, struct index_change *change)
{
	struct repository *repository;

	if (enqueue(indexes, change, &repository))
		pool_push(indexes->pool, run_committer, repository);
}

void indexes_change_here(struct indexes *indexes, struct index_change *change)
{
	struct repository *repository;

	if (enqueue(indexes, change, &repository))
		run_committer(repository);
}

/* ---- folding ---- */

struct fold {
	struct index_change change; /* first */
	char name[NAME_MAX_LEN + 1];
};

static void on_folded(struct index_change *change)
{
	struct fold *fold = (struct fold *)change;

	if (!change->ok)
		log_warn("index.fold", "repository=%s error=%s trying again later", fold->name,
			log_quote(str_of(change->err.text)));
	free(fold);
}

static bool needs_fold(const struct repository *repository, int64_t idle_ms, int64_t now_us)
{
	return repository->view && repository->view->log.bytes && !repository->committing &&
	       repository->wrote_us && now_us - repository->wrote_us >= idle_ms * 1000;
}

/* Which, first; the changes are made without the lock. */
static struct fold *next_fold(struct indexes *indexes, size_t *at, int64_t idle_ms)
{
	int64_t now_us = clock_us();
	struct fold *fold = NULL;
	void *item;

	indexes_lock(indexes);
	while (!fold && map_next(indexes->repositories, at, NULL, &item)) {
		struct repository *repository = item;

		if (!needs_fold(repository, idle_ms, now_us))
			continue;
		repository->wrote_us = now_us;
		fold = xnew(struct fold);
		(void)snprintf(fold->name, sizeof(fold->name), "%s", repository->name);
	}
	indexes_unlock(indexes);
	return fold;
}

void indexes_fold(struct indexes *indexes, int64_t idle_ms)
{
	struct fold *fold;

	indexes_clean_due(indexes);

	for (size_t at = 0; (fold = next_fold(indexes, &at, idle_ms));) {
		fold->change = (struct index_change){
			.op = INDEX_FOLD, .name = fold->name, .done = on_folded, .arg = fold
		};
		indexes_change(indexes, &fold->change);
	}
}

/* ---- waiting ---- */

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t told;
	bool done;
};

static void on_done(struct index_change *change)
{
	struct waiter *waiter = change->arg;

	CHECK(pthread_mutex_lock(&waiter->lock) == 0);
	waiter->done = true;
	CHECK(pthread_cond_signal(&waiter->told) == 0);
	CHECK(pthread_mutex_unlock(&waiter->lock) == 0);
}

/* Whoever waits commits, when nobody else does: a pool full of waiters would have no thread left for it. */
bool indexes_change_wait(struct indexes *indexes, struct index_change *change, struct error *err)
{
	struct waiter waiter = { .lock = PTHREAD_MUTEX_INITIALIZER, .told = PTHREAD_COND_INITIALIZER };
	struct repository *repository;

	change->done = on_done;
	change->arg = &waiter;
	if (enqueue(indexes, change, &repository))
		run_committer(repository);
	CHECK(pthread_mutex_lock(&waiter.lock) == 0);
	while (!waiter.done)
		CHECK(pthread_cond_wait(&waiter.told, &waiter.lock) == 0);
	CHECK(pthread_mutex_unlock(&waiter.lock) == 0);
	(void)pthread_cond_destroy(&waiter.told);
	(void)pthread_mutex_destroy(&waiter.lock);
	if (!change->ok && err)
		*err = change->err;
	return change->ok;
}
