/* SPDX-License-Identifier: Apache-2.0 */
/*
 * indexes_commit - one committer for each repository takes all that waits and writes it at once.
 *
 *     take the queue -> apply to the view in memory -> write if the store still has it -> done() each
 *
 * Writing is appending to the log, or a new index.json where there is no log or it has grown.
 *
 * The write itself proves that the view was the newest, so nothing is asked before. Where nothing is
 * written (a push of what is there, the deletion of what is not) the store is asked after the batch was
 * taken, whatever lease there is. A repository whose name may be out of the catalog (index.h, INDEX_VACATE) gets it back before the record that
 * fills it is written; while somebody may still remove it, the batch waits. What is read from the log is compared with the ids of the batch: a record
 * of ours whose answer we did not get is not written twice.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/latch.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "worker/index/indexes_priv.h"

#define ATTEMPTS_MAX 60
#define PAUSE_MIN_US 1000
#define PAUSE_MAX_US 50000
/* A log is folded when it is a quarter of its index.json, but not before log_least and at the latest at this.
 */
#define LOG_MOST (16u * 1024 * 1024)
/* Where a log goes on it is folded after so many records too: who loads it asks for each. */
#define LOG_RECORDS_MOST 256
/* Clocks of workers may differ by so much, where the time of a call decides. */
#define CLOCKS_MS 60000
#define CALL_MS   60000 /* for so long a call is made */
#define LIMBO_MS  60000 /* for longer nobody can be removing a name */

struct commit {
	struct repository *repository;
	struct indexes *indexes;
	struct index_change *batch;
	struct index *base;     /* what the changes are applied to; NULL: there is no such repository */
	bool known;             /* base is what the store had, or has when the write goes through */
	struct index_seen seen; /* when base was last true */
	struct index *draft;
	bool changed; /* some change changed the draft */
	bool tells;   /* one that did is no INDEX_PULLED */
	bool answers; /* some change is not a fold: what it is told must be proven */
	bool fold;    /* the log is to be folded, whatever else */
	bool whole;   /* some change replaced the draft: a new index.json says it, no record could */
	bool full;    /* the index may not grow */
	bool limbo;   /* somebody may be removing the name that a change needs */
	bool tried;   /* a record with what `changed` says may have been written */
	bool late; /* it was, where records may have been removed by then: who does not find it can't know */
	uint64_t era; /* of the store, of what was synced for the index.json that is being written */
	struct index_version version; /* that was written */
};

static struct str name_of(const struct commit *c)
{
	return str_of(c->repository->name);
}

static bool goes_on(const struct commit *c)
{
	return store_log_goes_on(c->indexes->store, name_of(c));
}

enum commit_step { COMMIT_DONE, COMMIT_CONFLICT, COMMIT_LIMBO, COMMIT_FAILED };

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

/* What is in memory, as it is: whether it is true the store will say. */
static void take_view(struct commit *c)
{
	indexes_lock(c->indexes);
	if (c->repository->view) {
		set_base(c, index_ref(c->repository->view));
		c->seen = c->repository->seen;
	}
	indexes_unlock(c->indexes);
}

static void on_change_read(void *arg, const struct change_id *id)
{
	const struct commit *c = arg;

	for (struct index_change *change = c->batch; change; change = change->next)
		change->found = change->found || memcmp(&change->id, id, sizeof(*id)) == 0;
}

static bool reload(struct commit *c, struct error *err)
{
	struct index_seen asked = { .us = clock_us() };
	struct index *found = NULL;
	struct error cause;

	if (!indexes_load(c->indexes, name_of(c), c->base, &c->seen, on_change_read, c, &found, &cause)) {
		if (cause.kind != ERROR_UNKNOWN) {
			*err = cause;
			return false;
		}
		c->seen = asked;
	}
	set_base(c, found);
	return true;
}

/* The record that we tried to write is among those that were read: its answers stand. */
static bool was_written(const struct commit *c)
{
	bool found = false;

	for (const struct index_change *change = c->batch; c->tried && change; change = change->next) {
		if (change->ok && change->changed && !change->found)
			return false;
		found = found || change->found;
	}
	return found;
}

/* ---- who follows ---- */

static void follow_one(const struct commit *c, enum index_outcome outcome, struct index_change *change)
{
	const struct index_following what = { .change = change, .told = change->told, .mark = &change->mark };

	c->indexes->follow(c->indexes->follow_arg, outcome, &what);
	change->announced = outcome == INDEX_ABOUT;
}

static bool is_made(const struct index_change *change)
{
	return change->ok && change->changed;
}

/* What a write is about to make, or how it ended: then all hear of it who heard the former. */
static void follow(const struct commit *c, enum index_outcome outcome)
{
	for (struct index_change *change = c->batch; change && c->indexes->follow; change = change->next) {
		bool now = is_made(change);

		if (outcome == INDEX_ABOUT ? now && change->told : change->announced)
			follow_one(c, outcome == INDEX_MADE && !now ? INDEX_NOT_MADE : outcome, change);
	}
}

static void look_what_it_does(const struct commit *c, struct index_change *change, bool exists)
{
	if (!c->indexes->follow)
		return;
	index_told_free(TAKE(change->told));
	change->told = index_told_new(c->draft, exists, change);
}

/* ---- the view ---- */

static void begin_write(struct commit *c)
{
	follow(c, INDEX_ABOUT);
	indexes_lock(c->indexes);
	c->repository->writes++;
	c->indexes->stats.writes++;
	indexes_unlock(c->indexes);
}

/* view NULL: the write has failed; what is in memory may be old then, so it
 * is not believed before the store was asked. */
static void end_write(struct commit *c, struct index *view, const struct index_seen *started, bool conflict)
{
	AUTO(index) *before = NULL;

	indexes_lock(c->indexes);
	c->repository->writes++;
	c->indexes->stats.conflicts += conflict;
	c->indexes->stats.folds += view && c->base && c->base->log.bytes && !view->log.bytes;
	if (c->tells || !c->repository->wrote_us)
		c->repository->wrote_us = clock_us();
	if (view)
		before = indexes_set_view_locked(c->repository, view, started);
	else
		c->repository->validated_us = 0;
	indexes_unlock(c->indexes);
}

/* A batch that wrote nothing may have learnt what the store has. */
static void keep_base(struct commit *c)
{
	AUTO(index) *before = NULL;

	indexes_lock(c->indexes);
	if (c->seen.us >= c->repository->validated_us)
		before =
			indexes_set_view_locked(c->repository, c->base ? index_ref(c->base) : NULL, &c->seen);
	indexes_unlock(c->indexes);
}

/* ---- one attempt ---- */

/* Of a call that was sent to somebody whose answer was lost. What it comes to here, if that is nothing, says little: who was asked first
 * may still be at it, and make it a moment later. */
static bool say_unknown(struct error *err)
{
	return error_set(err, ERROR_UNAVAILABLE, NULL,
		"it is not known whether the change was made: another worker did "
		"not answer in time");
}

/* A call that was sent to somebody whose answer was lost is made again only where it can be known whether it
 * took effect; and one that comes late not at all, by the clock of the store: ours may have stood still. */
static bool may_make(const struct commit *c, const struct index_change *change, struct error *err)
{
	int64_t store_ms = store_clock_s(c->indexes->store, name_of(c)) * 1000;
	bool forgot = change->sent_ms && index_memo_forgot_ms(c->draft->memo) >= change->sent_ms - CLOCKS_MS;
	bool late = change->issued_ms && store_ms - change->issued_ms > CALL_MS + CLOCKS_MS;

	if (forgot && change->op == INDEX_PULLED)
		return error_set(err, ERROR_CONFLICT, NULL,
			"it cannot be known any more whether these pulls were counted");
	return (!forgot && !late) || say_unknown(err);
}

static bool is_wanted(const struct commit *c, struct index_change *change, bool exists, struct error *err)
{
	const struct indexes *indexes = c->indexes;

	if (change->op == INDEX_REPLACE)
		return !change->check || change->check(change, c->draft, err);
	if (indexes->gate && change->op != INDEX_PULLED &&
		!indexes->gate(indexes->gate_arg, str_of(change->name), err))
		return false;
	if (change->op == INDEX_VACATE && (c->batch != change || change->next))
		return error_set(err, ERROR_BUSY, NULL, "the repository is changed just now");
	if (change->op != INDEX_PUT_MANIFEST && change->op != INDEX_CONDEMN && change->op != INDEX_VACATE &&
		!exists)
		return error_set(err, ERROR_UNKNOWN, "NAME_UNKNOWN", "there is no such repository");
	if (!may_make(c, change, err))
		return false;
	if (c->full && change->op == INDEX_PUT_MANIFEST && index_would_change(c->draft, change))
		return error_set(err, ERROR_FULL, NULL,
			"the repository's index holds %zu manifests and %zu tags and may not grow beyond %zu "
			"MiB: "
			"delete some, or use another repository",
			index_len(c->draft), index_tags_len(c->draft), c->indexes->json_most >> 20);
	/* Others made it as large as we can read: nobody could fold it any more. */
	if (c->full && change->op == INDEX_PULLED && c->draft->json_most > INDEX_JSON_MAX / 4 * 3)
		return error_set(err, ERROR_TOO_LARGE, NULL, "the repository's index has no room for pulls");
	return !change->check || change->check(change, c->draft, err);
}

/* The log goes on from where it is, whatever the text says of another one. */
static bool replace(struct commit *c, const struct index_change *change, bool *ret_changed, struct error *err)
{
	struct index *made;

	if (!index_json_read(change->text, &made, err))
		return error_add(err, "repository %s", change->name);
	made->log = c->draft->log;
	made->version = c->draft->version;
	made->json_at = c->draft->json_at;
	index_free(c->draft);
	c->draft = made;
	c->whole = *ret_changed = true;
	return true;
}

static bool make(struct commit *c, struct index_change *change, bool *ret_changed)
{
	if (change->op == INDEX_REPLACE)
		return replace(c, change, ret_changed, &change->err);
	return index_apply(c->draft, change, ret_changed, &change->err);
}

static bool fills(const struct index_change *change)
{
	return change->op == INDEX_PUT_MANIFEST || change->op == INDEX_REPLACE;
}

static void apply_one(struct commit *c, struct index_change *change, bool *exists)
{
	bool changed = false;

	change->changed = false;
	if (change->op == INDEX_FOLD) {
		change->ok = true;
		c->fold = c->base && c->base->log.bytes;
		return;
	}
	c->answers = true;
	/* It took effect already, by another worker or in a call that came twice. */
	if (change->is_call && index_memo_has_call(c->draft->memo, &change->id)) {
		change->ok = true;
		return;
	}
	c->limbo = c->limbo || (fills(change) && index_is_vacating(c->draft,
							 store_clock_s(c->indexes->store, name_of(c))));
	if (c->limbo)
		return;
	change->at_ms = clock_wall_ms();
	look_what_it_does(c, change, *exists);
	change->ok = is_wanted(c, change, *exists, &change->err) && make(c, change, &changed);
	if (change->sent_ms && !change->ok && change->op != INDEX_PULLED)
		say_unknown(&change->err);
	change->changed = changed;
	c->changed = c->changed || changed;
	c->tells = c->tells || (changed && change->op != INDEX_PULLED);
	*exists = *exists || change->ok;
}

static void apply(struct commit *c)
{
	bool exists = c->base != NULL;

	index_free(c->draft);
	c->draft = index_draft(c->base);
	if (!c->base)
		index_memo_vacate(&c->draft->memo, 0);
	c->limbo = false;
	c->changed = c->tells = c->fold = c->whole = c->answers = c->tried = false;
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

static enum commit_step finish_write(struct commit *c, enum store_step step, const struct index_seen *started)
{
	if (step == STORE_OK) {
		index_version_of(c->draft, &c->version);
		end_write(c, TAKE(c->draft), started, false);
		return COMMIT_DONE;
	}
	end_write(c, NULL, NULL, step == STORE_CONFLICT);
	return step == STORE_CONFLICT ? COMMIT_CONFLICT : COMMIT_FAILED;
}

/* ---- writing ---- */

/* A log that goes on keeps its generation: what others append meanwhile stays in force. */
static void name_log(const struct commit *c)
{
	struct store_log_place *log = &c->draft->log;

	struct store_log_place before = *log;

	log->bytes = 0;
	if (log->generation[0] && goes_on(c))
		return;
	*log = (struct store_log_place){ .at = 0 };
	if (!store_has_log(c->indexes->store, name_of(c)))
		return;
	random_hex(log->generation, 16);
	memcpy(log->held, before.generation, sizeof(log->held));
	log->held_at = before.at;
}

static bool has_log(const struct commit *c)
{
	return c->base && c->base->log.generation[0] && store_has_log(c->indexes->store, name_of(c));
}

static enum commit_step write_json(struct commit *c, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(INDEX_JSON_MAX);
	const struct store_version nothing = { .text = "" };
	const struct store_log_place no_log = { .at = 0 };
	struct index_seen started = { .us = clock_us() };
	struct store_version version = { .text = "" };
	enum store_step step;

	name_log(c);
	if (!indexes_put_unsaid(c->indexes, name_of(c), c->base, c->batch, err) ||
		!index_json_write(c->draft, &text, err) ||
		!indexes_sync_lazy(c->indexes, name_of(c), c->base, c->batch, &c->era, err))
		return COMMIT_FAILED;
	begin_write(c);
	step = store_index_fold(c->indexes->store, name_of(c), buf_str(&text),
		c->base ? &c->base->version : &nothing, c->base ? &c->base->log : &no_log, &version, err);
	started.store_s = version.seen_s;
	/* Where a log goes on, folding it says nothing of what lies behind. */
	if (goes_on(c) && has_log(c))
		started = c->seen;
	else if (version.asked)
		started.us = 0;
	c->draft->version = version;
	c->draft->log_tells = false;
	c->draft->json_bytes = c->draft->json_most = text.len;
	c->draft->json_at = c->draft->log.at;
	c->draft->era = c->era;
	if (step == STORE_OK && c->draft->log.at)
		indexes_clean_later(c->indexes, c->repository->name, &c->draft->log);
	/* Its log may tell us nothing of the index.json that was in the way. */
	if (step == STORE_CONFLICT)
		c->seen.us = 0;
	return finish_write(c, step, &started);
}

static bool collect_frames(const struct commit *c, struct buf *frames)
{
	size_t growth;

	for (const struct index_change *change = c->batch; change; change = change->next) {
		if (!change->ok || !change->changed)
			continue;
		if (!index_log_add(change, frames, &growth))
			return false;
		c->draft->json_most += growth;
	}
	return !frames->failed;
}

static bool log_is_full(const struct indexes *indexes, struct str name, const struct index *view, size_t more)
{
	size_t quarter = view->json_bytes / 4;
	size_t most = quarter > indexes->log_least ? quarter : indexes->log_least;

	return view->log.bytes + more > (most < LOG_MOST ? most : LOG_MOST) ||
	       (store_log_goes_on(indexes->store, name) && view->log.at - view->json_at >= LOG_RECORDS_MOST);
}

/* An answer that comes so late says nothing: our record may stand where others were removed, and where nobody
 * reads it, or it was folded and removed itself. */
static bool is_late(const struct commit *c, const struct store_log_place *place)
{
	const struct store *store = c->indexes->store;
	int64_t most_us = STORE_LOG_APPEND(c->indexes->keep_us);

	return goes_on(c) &&
	       (clock_us() - c->seen.us > most_us ||
		       indexes_is_later(place->seen_s, c->seen.store_s, most_us) ||
		       indexes_is_later(store_clock_s(store, name_of(c)), c->seen.store_s, most_us));
}

/* *ret_closed: the log takes no more; a new index.json does. */
static enum commit_step append(struct commit *c, struct str frames, bool *ret_closed, struct error *err)
{
	struct index_seen started = { .us = clock_us() };
	struct store_log_place *place = &c->draft->log;
	enum store_step step;

	*ret_closed = place->asked = false;
	if (!indexes_put_unsaid(c->indexes, name_of(c), c->base, c->batch, err))
		return COMMIT_FAILED;
	place->seen_s = 0;
	c->tried = true;
	begin_write(c);
	step = store_log_append(c->indexes->store, name_of(c), &c->base->version, place, frames, err);
	if ((step == STORE_OK || step == STORE_CONFLICT) && is_late(c, place)) {
		c->seen.us = 0;
		c->late = true;
		step = STORE_CONFLICT;
	}
	/* What lies behind it is not known. */
	if (place->asked)
		started.us = 0;
	started.store_s = place->seen_s;
	*ret_closed = step == STORE_CLOSED;
	return finish_write(c, step, &started);
}

/* Where a log ends by folding, a batch that is one too many goes into the new index.json itself. */
static enum commit_step write_ending_log(struct commit *c, struct error *err)
{
	AUTO_FINI(buf) frames = buf_limit(LOG_MOST);
	enum commit_step step;
	bool closed;

	if (!has_log(c) || c->fold || !collect_frames(c, &frames) ||
		log_is_full(c->indexes, name_of(c), c->base, frames.len))
		return write_json(c, err);
	step = append(c, buf_str(&frames), &closed, err);
	return closed ? write_json(c, err) : step;
}

/* Where it goes on, a batch needs its place in the order of records, whatever else; folding comes behind it.
 */
static enum commit_step write_lasting_log(struct commit *c, struct error *err)
{
	AUTO_FINI(buf) frames = buf_limit(LOG_MOST);
	enum commit_step step;
	bool closed;

	if (!has_log(c) || !c->changed)
		return write_json(c, err);
	if (!collect_frames(c, &frames)) {
		(void)error_set(
			err, ERROR_TOO_LARGE, NULL, "the changes are too large for one record of the index");
		return COMMIT_FAILED;
	}
	step = append(c, buf_str(&frames), &closed, err);
	c->repository->fold_due = c->fold;
	return step;
}

/* The catalog has it before the record that says so: who dies between the two leaves a name of an empty repository. */
static bool put_name(const struct commit *c, struct error *err)
{
	const struct indexes *indexes = c->indexes;
	bool was_there = c->base && !index_is_vacant(c->base);
	int64_t until_s = 0;

	if (was_there || index_is_vacant(c->draft))
		return true;
	/* What moves here, as a whole, is not refused. */
	return (c->whole || !indexes->room || indexes->room(indexes->room_arg, name_of(c), &until_s, err)) &&
	       store_name_put(indexes->store, name_of(c), until_s, err);
}

static enum commit_step write_draft(struct commit *c, struct error *err)
{
	if (!put_name(c, err))
		return COMMIT_FAILED;
	if (c->whole)
		return write_json(c, err);
	return goes_on(c) ? write_lasting_log(c, err) : write_ending_log(c, err);
}

/* What lies behind such a view may be gone from the log. */
static bool is_too_old(const struct commit *c)
{
	return goes_on(c) && has_log(c) && !indexes_may_follow(c->indexes, name_of(c), c->base, &c->seen);
}

/* Texts may be escaped twice. */
static size_t guess_growth(const struct commit *c)
{
	size_t growth = 0;

	for (const struct index_change *change = c->batch; change; change = change->next) {
		const struct index_record *record = NULL;

		if (change->ok && change->changed && change->op == INDEX_PUT_MANIFEST)
			record = index_record_find(c->draft, &change->descriptor->digest);
		if (record)
			growth += (8 * record->bytes + 1024) * (change->tags_len + 1);
	}
	return growth;
}

/* What it may be at most is added up; only where that is too much it is written to see. */
static bool is_too_large(const struct commit *c)
{
	AUTO_FINI(buf) text = buf_limit(INDEX_JSON_MAX);
	struct error ignored;

	if (c->draft->json_most + guess_growth(c) <= c->indexes->json_most)
		return false;
	if (!index_json_write(c->draft, &text, &ignored))
		return true;
	c->draft->json_most = text.len;
	return text.len > c->indexes->json_most;
}

static void apply_within_bounds(struct commit *c)
{
	c->full = false;
	apply(c);
	if (!c->changed || !is_too_large(c))
		return;
	c->full = true;
	apply(c);
}

static enum commit_step unknown(struct error *err)
{
	(void)error_set(err, ERROR_UNAVAILABLE, NULL,
		"it is not known whether the change was made: this worker was away for too long");
	return COMMIT_FAILED;
}

static enum commit_step attempt(struct commit *c, struct error *err)
{
	bool asked = false;

	if (!c->known || is_too_old(c)) {
		if (!reload(c, err))
			return COMMIT_FAILED;
		asked = true;
	}
	if (c->late && !was_written(c))
		return unknown(err);
	if (!was_written(c))
		apply_within_bounds(c);
	if (c->limbo)
		return COMMIT_LIMBO;
	if (!c->tried && !c->changed && c->answers && !asked) {
		if (!reload(c, err))
			return COMMIT_FAILED;
		asked = true;
		apply_within_bounds(c);
	}
	if (!c->tried && (c->changed || c->fold))
		return write_draft(c, err);
	if (asked)
		keep_base(c);
	return c->tried || indexes_put_unsaid(c->indexes, name_of(c), c->base, c->batch, err) ? COMMIT_DONE
											      : COMMIT_FAILED;
}

/* Whoever removes a name takes milliseconds, and if he died on it, until his time is over. There is one such repository for each that
 * died, so few wait here. */
static enum commit_step attempt_behind_removals(struct commit *c, struct error *err)
{
	int64_t begun_ms = clock_ms();
	enum commit_step step = attempt(c, err);

	for (unsigned i = 0; step == COMMIT_LIMBO; i++) {
		if (clock_ms() - begun_ms > LIMBO_MS) {
			(void)error_set(err, ERROR_UNAVAILABLE, NULL,
				"the repository's name is just being removed from the catalog");
			return COMMIT_FAILED;
		}
		pause_before(i);
		c->known = false;
		step = attempt(c, err);
	}
	return step;
}

static void tell_watch(const struct commit *c, const struct index_change *change)
{
	const struct index_event event = {
		.name = c->repository->name, .change = change, .version = c->version
	};

	for (size_t i = 0; i < c->indexes->watches_len; i++)
		c->indexes->watches[i].fn(c->indexes->watches[i].arg, &event);
}

/* A record of ours that was found, and not seen written, is told with the version in which it was found. */
static void tell_watches(struct commit *c)
{
	if (c->tried && was_written(c) && c->base)
		index_version_of(c->base, &c->version);
	for (const struct index_change *change = c->batch; change; change = change->next)
		if (change->ok && change->changed)
			tell_watch(c, change);
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
		step = attempt_behind_removals(&c, &err);
		if (step == COMMIT_CONFLICT) {
			pause_before(i);
			c.known = false;
		}
	}
	follow(&c, step == COMMIT_DONE     ? INDEX_MADE
		   : step == COMMIT_FAILED ? INDEX_IN_DOUBT
					   : INDEX_NOT_MADE);
	if (step == COMMIT_DONE)
		tell_watches(&c);
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

	lock_assert(&repository->indexes->lock);
	repository->first = NULL;
	repository->last = &repository->first;
	return batch;
}

/* Their answers come to the loops together. */
static void tell(struct index_change *batch)
{
	loop_posts_gather();
	while (batch) {
		struct index_change *next = batch->next; /* done() may free it */

		batch->next = NULL;
		index_told_free(TAKE(batch->told));
		batch->done(batch);
		batch = next;
	}
	loop_posts_let_go();
}

/* Behind the answers: they need not wait for it. */
static void fold_if_due(struct repository *repository)
{
	struct index_change fold = { .op = INDEX_FOLD, .name = repository->name };
	struct indexes *indexes = repository->indexes;
	struct str name = str_of(repository->name);
	bool due;

	indexes_lock(indexes);
	due = repository->view && repository->view->log.bytes && store_log_goes_on(indexes->store, name) &&
	      (repository->fold_due || log_is_full(indexes, name, repository->view, 0));
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

static bool is_named(const struct change_id *id)
{
	static const struct change_id nobody;

	return memcmp(id, &nobody, sizeof(nobody)) != 0;
}

static void prepare(struct index_change *change)
{
	change->ok = change->found = change->announced = false;
	change->told = NULL;
	change->mark = 0;
	if (!is_named(&change->id))
		random_bytes(change->id.raw, sizeof(change->id.raw));
}

/* A list that `next` makes, of one repository. True: it had no committer, the caller starts it. */
static bool enqueue(struct indexes *indexes, struct index_change *first, size_t len, struct repository **ret)
{
	struct index_change *last = first;
	struct repository *repository;
	bool start;

	for (; last->next; last = last->next)
		prepare(last);
	prepare(last);
	indexes_lock(indexes);
	repository = indexes_pin_locked(indexes, str_of(first->name));
	*repository->last = first;
	repository->last = &last->next;
	if (first->op != INDEX_PULLED)
		indexes->stats.changes += len;
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

	change->next = NULL;
	if (enqueue(indexes, change, 1, &repository))
		pool_push(indexes->pool, run_committer, repository);
}

void indexes_change_here(struct indexes *indexes, struct index_change *change)
{
	struct repository *repository;

	change->next = NULL;
	if (enqueue(indexes, change, 1, &repository))
		run_committer(repository);
}

/* ---- waiting ---- */

static void on_done(struct index_change *change)
{
	latch_open(change->arg);
}

/* Whoever waits commits, when nobody else does: a pool full of waiters would have no thread left for it. */
bool indexes_change_wait(struct indexes *indexes, struct index_change *change, struct error *err)
{
	struct latch done = LATCH_INIT;

	change->done = on_done;
	change->arg = &done;
	indexes_change_here(indexes, change);
	latch_wait(&done);
	if (!change->ok && err)
		*err = change->err;
	return change->ok;
}

struct waiting {
	struct latch done;
	atomic_size_t left;
};

static void on_one_done(struct index_change *change)
{
	struct waiting *waiting = change->arg;

	if (atomic_fetch_sub(&waiting->left, 1) == 1)
		latch_open(&waiting->done);
}

void indexes_change_all(struct indexes *indexes, struct index_change *first)
{
	struct waiting waiting = { .done = LATCH_INIT };
	struct repository *repository;
	size_t len = 0;

	for (struct index_change *change = first; change; change = change->next, len++) {
		change->done = on_one_done;
		change->arg = &waiting;
	}
	atomic_init(&waiting.left, len);
	if (enqueue(indexes, first, len, &repository))
		run_committer(repository);
	latch_wait(&waiting.done);
}

/* Repositories that have a committer now; the caller frees names and list. */
static char **committing(struct indexes *indexes, size_t *ret_len)
{
	char **names;
	void *value;

	*ret_len = 0;
	indexes_lock(indexes);
	names = xnew_array(char *, map_len(indexes->repositories) + 1);
	for (size_t at = 0; map_next(indexes->repositories, &at, NULL, &value);) {
		const struct repository *repository = value;

		if (repository->committing)
			names[(*ret_len)++] = check_strdup(repository->name);
	}
	indexes_unlock(indexes);
	return names;
}

/* What is asked for behind them is done behind them. */
bool indexes_settle(struct indexes *indexes, struct error *err)
{
	bool ok = true;
	size_t len;
	char **names = committing(indexes, &len);

	for (size_t i = 0; i < len; i++) {
		struct index_change fold = { .op = INDEX_FOLD, .name = names[i] };

		ok = ok && indexes_change_wait(indexes, &fold, err);
		free(names[i]);
	}
	free(names);
	return ok;
}
