/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report - three parts of one message, each believed by a rule of its own, all stored before any is applied.
 *
 *     what it tells of a former leader ---> hearing: is anything lost?
 *     member, grants -- staged --> one transaction with the counts --> applied --> answer
 *
 * A beat of a member that stays as it is takes neither the leader's lock nor the ledger: its lease does not
 * wait for a disk. What a boot that is over held is folded afterwards, a few rows at a time, so that the lock
 * is never held for long.
 */
#include "leader/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/least.h"
#include "common/log.h"
#include "common/map.h"
#include "leader/fellows.h"
#include "leader/follow.h"
#include "leader/grants.h"
#include "leader/hearing.h"
#include "leader/leader.h"
#include "leader/members.h"
#include "leader/ring_write.h"
#include "leader/state_log.h"

#define FOLD_ROWS   500
#define SAY_MOST    10
#define SAY_SPAN_MS 60000
#define NEAR_DAYS   1
#define SECOND_MS   1000
/* Of a few bytes for each row of a report. */
#define NOTE_BYTES_MAX (64u * USAGE_ROWS_MAX)

struct merging {
	struct leader *leader;
	const struct usage_report *report;
	uint64_t number;
	int64_t now_ms;
	int64_t now_s; /* of the day */
	struct state *state;
	struct cluster_settings cluster;
	char leader_id[HEARING_ID_SIZE]; /* one for all leaders of a life */
	struct members_staged member;
	struct ledger_boot boot;
	struct ledger_calls *calls; /* of its demands, as they stand in the report */
	struct grants_staged *grants;
	bool hears;    /* it has heard this process of the leader; it only tells otherwise */
	bool met;      /* its process is known to all others */
	bool believed; /* the demands are */
	bool over;     /* with it the boot is, as a whole */
	bool behind;   /* another leader was faster */
	size_t refused;
	struct error *err;
};

/* What it tells. */

/* Of a state that is not one of ours. */
static bool is_ahead(const struct merging *merging)
{
	const struct usage_report *report = merging->report;
	const char *digest = report->state_digest ? report->state_digest : "";

	return state_log_position(merging->leader->log, report->revision, digest) == HISTORY_UNKNOWN;
}

static void count_rewound(const struct merging *merging, bool news)
{
	if (news)
		counter_add(&merging->leader->counters.store_rewound_total, 1);
}

static bool is_empty(const char *text)
{
	return !text || !*text;
}

/* A worker always says who it is by more than this: it was made by hand. */
static bool is_bare(const struct usage_report *report)
{
	return !report->number && is_empty(report->leader) && is_empty(report->witness);
}

static bool names_us(const struct merging *merging)
{
	const struct usage_report *report = merging->report;

	return !is_empty(report->leader) && !strcmp(report->leader, merging->leader_id);
}

static bool is_held(const struct merging *merging)
{
	return hearing_hold_ms(merging->leader->hearing, merging->now_ms) > 0;
}

/* Everybody who is there is known by others when they have told that they heard of it. */
static uint64_t echo_of(const struct merging *merging)
{
	struct hearing *hearing = merging->leader->hearing;

	if (is_bare(merging->report))
		return merging->hears ? hearing_dealings(hearing) + 1 : 0;
	return hearing_echo(hearing, merging->report->witness);
}

static bool is_met(const struct merging *merging)
{
	return members_is_met(
		merging->leader->members, merging->report->worker, members_process_of(merging->report));
}

static void hear_first(struct merging *merging)
{
	enum hearing_state state = is_ahead(merging) ? HEARING_NEWER : HEARING_SAME;

	count_rewound(merging, hearing_check(merging->leader->hearing, merging->report, state,
				       merging->now_ms, merging->cluster.grant_ms));
	merging->hears = names_us(merging) || (is_bare(merging->report) && !is_held(merging));
}

/* What is heard now may be forgotten by those who tell it when they have the answer: the ledger has it before
 * that. */
static bool settle_loss(struct merging *merging)
{
	struct leader *leader = merging->leader;
	bool heard, ok;

	if (!hearing_is_due(leader->hearing, merging->now_ms, &heard) || heard)
		return true;
	leader_lock(leader);
	ok = leader_settle_locked(leader, merging->err);
	leader_unlock(leader);
	return ok;
}

/* Demands. */

static uint64_t quota_of(const struct state *state, const char *subject, const char *window)
{
	enum limits_kind kind;

	return limits_window_parse(str_of(window), &kind) ? limits_get(state, subject, kind) : 0;
}

/* A window's last report comes after it, and clocks are set: those of the days on both sides of ours are dealt out too. */
static bool is_dealt(const struct merging *merging, const struct usage_demand *demand)
{
	return limits_window_is_near(demand->day, merging->now_s, NEAR_DAYS) &&
	       limits_subject_exists(merging->state, demand->apikey);
}

/* All in one question: the lock is held meanwhile. */
static bool ask_calls(struct merging *merging)
{
	const struct usage_report *report = merging->report;
	struct ledger_key_day *at = xnew_array(struct ledger_key_day, report->demands_len);
	bool ok;

	for (size_t i = 0; i < report->demands_len; i++)
		at[i] = (struct ledger_key_day){ report->demands[i].apikey, report->demands[i].day };
	free(merging->calls);
	merging->calls = xnew_array(struct ledger_calls, report->demands_len);
	ok = ledger_calls(merging->leader->ledger, at, report->demands_len, merging->calls, merging->err);
	free(at);
	return ok;
}

static bool is_silent(void *arg, const char *boot)
{
	const struct merging *merging = arg;

	/* What it admitted in the second in which its share expired counts to the end of that. */
	return members_silence_ms(merging->leader->members, boot, merging->now_ms) >=
	       merging->cluster.grant_ms + SECOND_MS;
}

static void stage_demand(struct merging *merging, size_t i, bool hold)
{
	const struct usage_demand *demand = &merging->report->demands[i];
	struct leader *leader = merging->leader;
	struct grants_terms terms = { .limit = quota_of(merging->state, demand->apikey, demand->day),
		.total = merging->calls[i].all,
		.ungranted = merging->calls[i].ungranted,
		.live_workers = members_live(leader->members),
		.hold = hold,
		.only_tells = !merging->hears,
		.final = merging->report->final,
		.is_silent = is_silent,
		.arg = merging };

	merging->refused += !grants_stage_demand(merging->grants, demand, &terms);
}

static void stage_demands(struct merging *merging, bool hold)
{
	const struct usage_report *report = merging->report;

	grants_staged_free(merging->grants);
	merging->grants = grants_stage(merging->leader->grants, report->boot);
	merging->refused = 0;
	for (size_t i = 0; merging->believed && i < report->demands_len; i++)
		if (is_dealt(merging, &report->demands[i]))
			stage_demand(merging, i, hold);
}

static void say_full(struct merging *merging)
{
	if (merging->refused &&
		few_take(&merging->leader->grants_full, SAY_MOST, SAY_SPAN_MS, merging->now_ms))
		log_warn("grants.full", "name=%s rows=%zu at most %d grants are kept at once: these get none",
			log_quote(str_of(merging->report->worker)), merging->refused, GRANTS_ROWS_MAX);
}

/* A loss that the demands themselves show begins before any of them gets something. */
static bool take_demands(struct merging *merging)
{
	const struct usage_report *report = merging->report;
	struct hearing *hearing = merging->leader->hearing;
	bool news;

	merging->believed =
		!merging->boot.finished && (report->final || merging->number > merging->boot.number);
	merging->over = merging->believed && report->final && report->all;
	merging->met = is_met(merging);
	if (merging->believed && report->demands_len && !ask_calls(merging))
		return false;
	stage_demands(merging, !merging->met || is_held(merging));
	if (grants_staged_told_more(merging->grants)) {
		news = hearing_told_more(hearing, report, merging->now_ms, merging->cluster.grant_ms);
		count_rewound(merging, news);
		if (news)
			stage_demands(merging, true);
	}
	say_full(merging);
	return true;
}

/* Answer. */

struct answering {
	const struct merging *merging;
	struct usage_answer *answer;
	struct map *named; /* day \n key */
	size_t bytes;
};

static bool answer_row(struct answering *answering, const struct grants_row *row, uint64_t limit,
	uint64_t coming, bool recall)
{
	struct usage_answer *answer = answering->answer;
	struct usage_grant *grant = &answer->grants[answer->grants_len];
	size_t bytes = strlen(row->apikey) + strlen(row->day);

	if (answer->grants_len == USAGE_CHUNK_ROWS || answering->bytes + bytes > USAGE_CHUNK_BYTES)
		return false;
	*grant = (struct usage_grant){ .apikey = check_strdup(row->apikey),
		.granted = row->granted,
		.used = row->used,
		.total = row->total,
		.limit = limit,
		.coming = coming,
		.recall = recall };
	CHECK(str_copy(str_of(row->day), grant->day, sizeof(grant->day)));
	answering->bytes += bytes;
	answer->grants_len++;
	return true;
}

static bool is_recalled(const struct grants_row *row, uint64_t limit)
{
	return row->granted > row->used &&
	       (row->recall || (limit && row->all_granted + row->ungranted > limit));
}

/* Found again by recalls. */
static bool is_named(struct answering *answering, const char *apikey, const char *day)
{
	char key[GRANTS_KEY_MAX];

	return map_put(answering->named, grants_key(key, day, apikey), answering) != NULL;
}

/* What the ledger has of it may be older than what it says: it is told no more than that, and what it was
 * given just now. */
static uint64_t told_granted(
	const struct merging *merging, const struct usage_demand *demand, const struct grants_row *row)
{
	bool newest = merging->believed || merging->number == merging->boot.number;

	return merging->hears && newest ? row->granted
					: least(row->granted, most(demand->granted, row->used));
}

/* Who holds something and has lost its lease gives nothing back soon. */
struct leases {
	struct members *members;
	int64_t now_ms, lease_ms;
};

static bool is_away(void *arg, const char *boot)
{
	const struct leases *leases = arg;

	return members_silence_ms(leases->members, boot, leases->now_ms) >= leases->lease_ms;
}

/* What it needs it was not given: how much of it may come. */
static uint64_t coming(const struct merging *merging, const struct usage_demand *demand,
	const struct grants_row *row, uint64_t limit)
{
	struct leases leases = { merging->leader->members, merging->now_ms, merging->cluster.lease_ms };
	struct grants_terms terms = {
		.limit = limit, .ungranted = row->ungranted, .is_silent = is_away, .arg = &leases
	};

	if (!demand->needs || !merging->hears ||
		row->granted >= most(demand->granted, demand->used) + demand->needs)
		return 0;
	return grants_coming(merging->leader->grants, merging->report->boot, demand, &terms);
}

static void answer_demand(struct answering *answering, const struct usage_demand *demand)
{
	const struct merging *merging = answering->merging;
	struct grants_row row = { .apikey = demand->apikey, .day = demand->day, .used = demand->used };
	uint64_t limit = quota_of(merging->state, demand->apikey, demand->day);
	bool known = grants_look(
		merging->leader->grants, merging->report->boot, demand->apikey, demand->day, &row);

	if (is_named(answering, demand->apikey, demand->day) || (!known && !merging->believed))
		return;
	row.granted = told_granted(merging, demand, &row);
	(void)answer_row(
		answering, &row, limit, coming(merging, demand, &row, limit), is_recalled(&row, limit));
}

static bool answer_recall(void *arg, const struct grants_row *row)
{
	struct answering *answering = arg;
	uint64_t limit = quota_of(answering->merging->state, row->apikey, row->day);

	if (!is_recalled(row, limit) || is_named(answering, row->apikey, row->day))
		return true;
	return answer_row(answering, row, limit, 0, true);
}

static void answer_grants(const struct merging *merging, struct usage_answer *answer)
{
	const struct usage_report *report = merging->report;
	AUTO(map) *named = map_new();
	struct answering answering = { .merging = merging, .answer = answer, .named = named };

	answer->grants = xnew_array(struct usage_grant, USAGE_CHUNK_ROWS);
	for (size_t i = 0; !merging->over && i < report->demands_len; i++)
		if (is_dealt(merging, &report->demands[i]))
			answer_demand(&answering, &report->demands[i]);
	if (merging->hears)
		grants_each_unused(merging->leader->grants, report->boot, answer_recall, &answering);
}

/* Calls wait so long: until all are heard, or until all know of it. */
static int64_t hold_ms(const struct merging *merging)
{
	int64_t hears = hearing_hold_ms(merging->leader->hearing, clock_ms());
	int64_t meets = merging->met ? 0 : merging->cluster.push_every_ms;

	return hears > meets ? hears : meets;
}

static void fill_answer(const struct merging *merging, struct usage_answer *answer)
{
	struct leader *leader = merging->leader;
	AUTO(state) *newest = leader_state(leader);
	char witness[USAGE_WITNESS_MAX];

	hearing_witness(leader->hearing, witness);
	*answer = (struct usage_answer){ .seq = merging->report->seq,
		.number = merging->report->number,
		.leader = check_strdup(merging->leader_id),
		.witness = check_strdup(witness),
		.version = check_strdup(ZOT_VERSION),
		.now_ms = clock_wall_ms(),
		.lease_ms = merging->cluster.lease_ms,
		.push_every_ms = merging->cluster.push_every_ms,
		.grant_ms = merging->cluster.grant_ms,
		.hold_ms = hold_ms(merging),
		.ring_epoch = leader_ring_epoch(newest),
		.revision = state_revision(newest),
		.deals = true,
		.cut = members_is_cut(leader->members, merging->report->worker),
		.other_secret = members_has_other_secret(leader->members, merging->report->worker) };
	answer->unsigned_members = members_unsigned(leader->members, &answer->unsigned_members_len);
	if (!merging->report->seq && !merging->report->final)
		members_answer_chores(leader->members, merging->report, merging->now_ms, answer);
	answer_grants(merging, answer);
}

/* The report. */

static bool is_beat(const struct usage_report *report)
{
	return !report->rows_len && !report->repositories_len && !report->demands_len && !report->final;
}

static bool has_counts(const struct usage_report *report)
{
	return report->rows_len || report->repositories_len;
}

static void count_merged(struct merging *merging, const struct ledger_merged *merged)
{
	const struct usage_report *report = merging->report;
	struct leader *leader = merging->leader;

	counter_add(
		merged->added ? &leader->counters.pushes_total : &leader->counters.pushes_repeated_total, 1);
	if (merged->partly && few_take(&leader->reports_partly, SAY_MOST, SAY_SPAN_MS, merging->now_ms))
		log_warn("report.partly",
			"name=%s boot=%s a part of these counts was merged before, from another copy of the "
			"worker's folder: none of them is",
			log_quote(str_of(report->worker)), log_quote(str_of(report->boot)));
}

static bool write_report(struct merging *merging)
{
	const struct usage_report *report = merging->report;
	struct leader *leader = merging->leader;
	struct ledger_merged merged = { 0 };
	AUTO_FINI(buf) note = buf_limit(NOTE_BYTES_MAX);
	struct ledger_merge merge = { .worker = report->worker,
		.process = report->process,
		.boot = report->boot,
		.after = report->after,
		.seq = report->seq,
		.number = merging->believed && report->demands_len ? merging->number : 0,
		.finished = merging->over,
		.gone = merging->member.left && !merging->member.late,
		.rows = report->rows,
		.rows_len = report->rows_len,
		.repositories = report->repositories,
		.repositories_len = report->repositories_len,
		.registers = merging->member.needs_store && merging->member.registers,
		.member = merging->member.needs_store ? &merging->member.member : NULL };

	merge.grants = grants_staged_rows(merging->grants, &merge.grants_len);
	follow_note(&merging->member, merging->grants, &note);
	merge.note = buf_str(&note);
	if (!ledger_merge_usage(leader->ledger, &merge, &merged, merging->err)) {
		merging->behind = merging->err->kind == ERROR_CONFLICT;
		return false;
	}
	hearing_dealt(leader->hearing, merged.dealings);
	merging->member.dealings = merged.dealings;
	count_merged(merging, &merged);
	return true;
}

static void settle_ring(const struct merging *merging)
{
	struct ring_write *ring = merging->leader->ring;

	if (merging->member.late || !merging->member.ring)
		return;
	if (merging->member.hurry)
		ring_write_now_locked(ring);
	else
		ring_write_due(ring);
}

static bool stage_member(struct merging *merging)
{
	members_staged_fini(&merging->member);
	merging->member = (struct members_staged){ 0 };
	if (!members_stage(merging->leader->members, merging->report, merging->now_ms,
		    merging->cluster.lease_ms, &merging->member, merging->err))
		return false;
	merging->member.echo = echo_of(merging);
	return true;
}

static bool check_twin(struct merging *merging)
{
	const struct usage_report *report = merging->report;

	if (!has_counts(report) || !members_has_boot(merging->leader->members, report->boot, report->process))
		return true;
	return error_set(merging->err, ERROR_CONFLICT, NULL,
		"these counts are of a process that is alive: this worker's data folder is a copy of "
		"another's; give each worker a folder of its own");
}

/* Its folder may be a copy, and its own process still admit from what it holds. */
static bool check_silence(struct merging *merging)
{
	const struct usage_report *report = merging->report;
	int64_t silence;

	if (!report->final || merging->boot.finished || !strcmp(report->boot, members_process_of(report)))
		return true;
	silence = members_silence_ms(merging->leader->members, report->boot, merging->now_ms);
	return silence >= merging->cluster.grant_ms ||
	       error_set(merging->err, ERROR_CONFLICT, NULL,
		       "the end of boot %s is believed when its own process was silent for %" PRId64
		       " ms, it is for %" PRId64 " ms; say it again then",
		       report->boot, merging->cluster.grant_ms, silence);
}

/* What it changes about the member is to be stored before it is applied. */
static bool changes_member(const struct merging *merging)
{
	return merging->member.needs_store || merging->member.left;
}

/* Things went on while it waited for the lock. */
static bool stage_locked(struct merging *merging)
{
	leader_assert_locked(merging->leader);
	merging->now_ms = clock_ms();
	if (changes_member(merging) && !stage_member(merging))
		return false;
	return check_twin(merging) &&
	       ledger_boot(merging->leader->ledger, merging->report->boot, &merging->boot, merging->err) &&
	       check_silence(merging) && take_demands(merging);
}

/* A copy that comes late, or one with rows that nobody keeps, has not told all. */
static void note_heard(const struct merging *merging)
{
	bool told = !merging->report->demands_len || (merging->believed && !merging->refused);

	if (names_us(merging) && told &&
		hearing_heard(merging->leader->hearing, merging->report, merging->now_ms))
		ring_write_due(merging->leader->ring);
}

/* As things are now, of which another leader may know more. */
static void look_again(struct merging *merging)
{
	state_free(merging->state);
	merging->state = leader_state(merging->leader);
	merging->cluster = leader_cluster(merging->leader);
	hearing_id(merging->leader->hearing, merging->leader_id);
	merging->behind = false;
}

static bool store_once(struct merging *merging)
{
	return stage_locked(merging) && leader_settle_locked(merging->leader, merging->err) &&
	       write_report(merging);
}

static bool store_locked(struct merging *merging)
{
	bool ok = store_once(merging);

	for (unsigned i = 0; !ok && merging->behind && i < LEADER_WRITE_TRIES; i++) {
		if (!follow_locked(merging->leader, merging->err))
			return false;
		look_again(merging);
		ok = store_once(merging);
	}
	return ok || (merging->behind && error_set(merging->err, ERROR_BUSY, NULL,
						 "other leaders write all the time; try again"));
}

static bool merge_locked(struct merging *merging)
{
	struct leader *leader = merging->leader;

	leader_assert_locked(leader);
	if (!store_locked(merging))
		return false;
	members_apply(leader->members, &merging->member, merging->now_ms);
	grants_apply(leader->grants, merging->grants, merging->over);
	leader_want_reports(leader, grants_staged_recalled(merging->grants));
	note_heard(merging);
	settle_ring(merging);
	return true;
}

/* What is left of it is folded with the next boot that ends, or at the next start. */
static void fold(struct leader *leader)
{
	struct error err;
	bool more = true, ok = true, say;

	while (more && ok) {
		leader_lock(leader);
		ok = ledger_fold(leader->ledger, FOLD_ROWS, &more, &err) ||
		     follow_was_behind_locked(leader, &err);
		say = !ok && few_take(&leader->folds_failed, SAY_MOST, SAY_SPAN_MS, clock_ms());
		leader_unlock(leader);
		if (say)
			log_warn("grants.fold", "error=%s ignoring", log_quote(str_of(err.text)));
	}
}

static bool merge(struct merging *merging)
{
	struct leader *leader = merging->leader;
	bool ok;

	hear_first(merging);
	if (!settle_loss(merging) || !stage_member(merging))
		return false;
	if (!changes_member(merging))
		members_apply(leader->members, &merging->member, merging->now_ms);
	if (is_beat(merging->report) && !changes_member(merging)) {
		counter_add(&leader->counters.pushes_total, 1);
		note_heard(merging);
		merging->met = is_met(merging);
		return true;
	}
	leader_lock(leader);
	ok = merge_locked(merging);
	leader_unlock(leader);
	if (ok && merging->over)
		fold(leader);
	return ok;
}

/* Who cannot tell the others of a lease gives none. */
static bool check_contact(struct leader *leader, struct error *err)
{
	int64_t away_ms;

	return fellows_in_contact(leader->fellows, &away_ms) ||
	       error_set(err, ERROR_UNAVAILABLE, NULL,
		       "this leader has had no contact with its store for %" PRId64 " ms; ask another one",
		       away_ms);
}

static struct merging merging_of(struct leader *leader, const struct usage_report *report, struct error *err)
{
	struct merging merging = { .leader = leader,
		.report = report,
		.number = report->number ? report->number : report->seq,
		.now_ms = clock_ms(),
		.now_s = clock_wall_s(),
		.state = leader_state(leader),
		.cluster = leader_cluster(leader),
		.err = err };

	hearing_id(leader->hearing, merging.leader_id);
	return merging;
}

static void merging_fini(struct merging *merging)
{
	grants_staged_free(merging->grants);
	free(merging->calls);
	members_staged_fini(&merging->member);
	state_free(merging->state);
}

bool report_merge(struct leader *leader, const struct usage_report *report, struct usage_answer *ret_answer,
	struct error *err)
{
	struct merging merging;
	bool ok;

	if (report->seq && report->after >= report->seq)
		return error_set(err, ERROR_INVALID, NULL, "after: must be lower than seq");
	if (!report->seq && has_counts(report))
		return error_set(err, ERROR_INVALID, NULL, "seq: counts need one, of 1 or more");
	if (!check_contact(leader, err))
		return false;
	merging = merging_of(leader, report, err);
	ok = merge(&merging);
	if (ok) {
		members_tell_chores(leader->members, report);
		fill_answer(&merging, ret_answer);
		fellows_note(leader->fellows, report);
	}
	merging_fini(&merging);
	return ok;
}

void report_overhear(struct leader *leader, const struct usage_report *report)
{
	struct error err;
	struct merging merging = merging_of(leader, report, &err);

	hear_first(&merging);
	if (stage_member(&merging) && !changes_member(&merging)) {
		members_apply(leader->members, &merging.member, merging.now_ms);
		note_heard(&merging);
		members_tell_chores(leader->members, report);
	}
	merging_fini(&merging);
}
