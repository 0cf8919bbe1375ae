/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Grants are driven as a fleet drives them: workers that tell what they hold and want, a network that loses
 * answers and delivers reports and copies of them late and in any order, a ledger that fails, recalls, kills of
 * workers and of the leader. Whatever happens, the calls that were admitted never pass the quota.
 */
#include "leader/grants.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/check.h"
#include "common/map.h"

#define DAY           "2026-11-20"
#define KEY           "key"
#define WORKERS_MAX   12
#define IN_FLIGHT_MAX 64
#define STORED_MAX    4096

/* A random sequence that a seed repeats. */
static uint64_t random_state;
static uint64_t roll(uint64_t bound)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % bound;
}

struct message {
	unsigned worker, boot;
	uint64_t number;
	unsigned leader; /* whose answer the worker had before */
	bool final;
	struct usage_demand demand;
};

struct worker {
	unsigned boots;
	uint64_t number; /* of its newest report: those before are given up */
	uint64_t answered;
	unsigned leader;
	uint64_t granted, used;
	bool release, leaving, left;
	bool closes; /* the boot before is to be told over, with what it may have used */
	uint64_t ceiling;
};

struct stored {
	char boot[32];
	uint64_t number;
	bool finished;
};

struct fleet {
	struct grants *grants;
	unsigned leader; /* how often it started */
	struct worker workers[WORKERS_MAX];
	unsigned len;
	uint64_t quota, admitted;
	struct message flight[IN_FLIGHT_MAX];
	size_t flight_len;
	struct stored boots[STORED_MAX]; /* the ledger's */
	size_t boots_len;
	struct ledger_grant rows[STORED_MAX]; /* the ledger's */
	size_t rows_len;
};

/* The ledger, so that the leader can be restarted. */

static struct stored *stored_of(struct fleet *fleet, const char *boot)
{
	for (size_t i = 0; i < fleet->boots_len; i++)
		if (!strcmp(fleet->boots[i].boot, boot))
			return &fleet->boots[i];
	assert_true(fleet->boots_len < STORED_MAX);
	struct stored *new = &fleet->boots[fleet->boots_len++];
	*new = (struct stored){ 0 };
	(void)snprintf(new->boot, sizeof(new->boot), "%s", boot);
	return new;
}

static void put_row(struct fleet *fleet, const struct ledger_grant *grant)
{
	struct ledger_grant *row = NULL;

	for (size_t i = 0; i < fleet->rows_len && !row; i++)
		if (!strcmp(fleet->rows[i].boot, grant->boot))
			row = &fleet->rows[i];
	if (!row) {
		assert_true(fleet->rows_len < STORED_MAX);
		row = &fleet->rows[fleet->rows_len++];
		*row = *grant;
		row->boot = check_strdup(grant->boot);
		row->apikey = check_strdup(grant->apikey);
	}
	row->granted = grant->granted;
	row->used = grant->used;
}

static void restart_leader(struct fleet *fleet)
{
	grants_free(fleet->grants);
	fleet->grants = grants_new();
	fleet->leader++;
	for (size_t i = 0; i < fleet->rows_len; i++) {
		struct ledger_grant row = fleet->rows[i];
		char over[] = "";
		if (stored_of(fleet, row.boot)->finished)
			row.boot = over;
		grants_load(fleet->grants, &row);
	}
}

/* Workers. */

static void boot_name(unsigned worker, unsigned boot, char into[32])
{
	(void)snprintf(into, 32, "w%u-%u", worker, boot);
}

static void admit(struct fleet *fleet, struct worker *worker)
{
	if (worker->left || worker->leaving || worker->used >= worker->granted)
		return;
	worker->used++;
	fleet->admitted++;
	assert_true(fleet->admitted <= fleet->quota);
}

static void send_report(struct fleet *fleet, unsigned at)
{
	struct worker *worker = &fleet->workers[at];
	struct message message = { .worker = at, .boot = worker->boots };

	if (worker->left || fleet->flight_len == IN_FLIGHT_MAX)
		return;
	message.number = ++worker->number;
	message.leader = worker->leader;
	message.demand = (struct usage_demand){ .apikey = check_strdup(KEY),
		.day = DAY,
		.granted = worker->granted,
		.used = worker->used,
		.want = worker->leaving ? 0 : roll(20),
		.release = worker->release };
	message.final = worker->leaving;
	if (worker->closes && roll(2)) {
		message.boot--;
		message.final = true;
		message.demand.granted = message.demand.used = worker->ceiling;
	}
	fleet->flight[fleet->flight_len++] = message;
}

static void take_answer(
	struct worker *worker, unsigned leader, const struct message *message, const struct grants_row *row)
{
	if (message->boot != worker->boots) {
		worker->closes = false;
		return;
	}
	if (message->final)
		worker->left = true;
	if (message->number != worker->number || message->number == worker->answered || message->final)
		return;
	worker->answered = message->number;
	worker->leader = leader;
	worker->release = false;
	assert_true(row->granted >= worker->used);
	worker->granted = row->granted;
	if (row->recall && worker->granted > worker->used) {
		worker->granted = worker->used;
		worker->release = true;
	}
}

/* Staged, stored, applied; or the ledger fails, and it is as if the message had never come. */
static bool lead(struct fleet *fleet, const struct message *message, const char *boot, bool ledger_fails)
{
	struct stored *stored = stored_of(fleet, boot);
	AUTO(grants_staged) *staged = grants_stage(fleet->grants, boot);
	struct grants_terms terms = {
		.limit = fleet->quota, .final = message->final, .only_tells = message->leader != fleet->leader
	};
	const struct ledger_grant *rows;
	size_t len;

	if (stored->finished || (!message->final && message->number <= stored->number))
		return true;
	for (unsigned i = 0; i < fleet->len; i++)
		terms.live_workers += !fleet->workers[i].left;
	assert_true(grants_stage_demand(staged, &message->demand, &terms));
	rows = grants_staged_rows(staged, &len);
	if (ledger_fails)
		return false;
	for (size_t i = 0; i < len; i++)
		put_row(fleet, &rows[i]);
	stored->number = message->number > stored->number ? message->number : stored->number;
	stored->finished = message->final;
	grants_apply(fleet->grants, staged, message->final);
	return true;
}

/* Of who has not heard this leader. */
static uint64_t told_at_most(const struct message *message, const struct grants_row *row)
{
	uint64_t told = message->demand.granted > row->used ? message->demand.granted : row->used;

	return told < row->granted ? told : row->granted;
}

/* The leader takes any message that is on its way, or a copy of it; its answer may be lost. */
static void deliver(struct fleet *fleet, unsigned lost_percent)
{
	size_t at = roll(fleet->flight_len);
	struct message message = fleet->flight[at];
	struct grants_row row = { 0 };
	char boot[32];
	bool answered;

	boot_name(message.worker, message.boot, boot);
	answered = lead(fleet, &message, boot, roll(100) < lost_percent / 2);
	assert_true(grants_granted(fleet->grants, KEY, DAY) <= fleet->quota);
	if (answered && message.boot + 1 >= fleet->workers[message.worker].boots + !message.final &&
		roll(100) >= lost_percent) {
		if (grants_look(fleet->grants, boot, KEY, DAY, &row) || message.final) {
			if (message.leader != fleet->leader)
				row.granted = told_at_most(&message, &row);
			take_answer(&fleet->workers[message.worker], fleet->leader, &message, &row);
		} else
			assert_true(stored_of(fleet, boot)->finished);
	}
	if (roll(100) < lost_percent)
		return; /* one more copy of it is on its way */
	fleet->flight[at] = fleet->flight[--fleet->flight_len];
	free(message.demand.apikey);
}

/* What it had written down as its ceiling may lie above what it used. */
static void crash(struct worker *worker)
{
	struct worker next = { .boots = worker->boots + 1, .closes = roll(2), .ceiling = worker->used };

	if (next.ceiling < worker->granted)
		next.ceiling += roll(2);
	*worker = next;
}

static void fleet_init(struct fleet *fleet, uint64_t seed)
{
	memset(fleet, 0, sizeof(*fleet));
	random_state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
	fleet->grants = grants_new();
	fleet->len = 1 + (unsigned)roll(WORKERS_MAX);
	fleet->quota = 1 + roll(300);
}

static void fleet_fini(struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->flight_len; i++)
		free(fleet->flight[i].demand.apikey);
	for (size_t i = 0; i < fleet->rows_len; i++) {
		free(fleet->rows[i].boot);
		free(fleet->rows[i].apikey);
	}
	grants_free(fleet->grants);
}

static void step(struct fleet *fleet, unsigned lost_percent)
{
	unsigned at = (unsigned)roll(fleet->len);

	switch (roll(4)) {
	case 0:
		send_report(fleet, at);
		break;
	case 1:
	case 2:
		if (fleet->flight_len)
			deliver(fleet, lost_percent);
		break;
	case 3:
		admit(fleet, &fleet->workers[at]);
		break;
	}
}

/* The network calms down, every worker keeps asking: the last call of the quota is found. */
static void settle(struct fleet *fleet)
{
	for (unsigned i = 0; i < 200000 && fleet->admitted < fleet->quota; i++)
		step(fleet, 0);
	assert_int_equal(fleet->admitted, fleet->quota);
	for (unsigned i = 0; i < 2000; i++)
		step(fleet, 0);
	assert_int_equal(fleet->admitted, fleet->quota);
}

static struct fleet fleet;

static void lossy_network_ends_at_the_quota(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		fleet_init(&fleet, seed);
		for (unsigned i = 0; i < 3000; i++) {
			step(&fleet, 40);
			if (roll(300) == 0)
				restart_leader(&fleet);
		}
		settle(&fleet);
		fleet_fini(&fleet);
	}
}

static void crashes_never_pass_the_quota(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		fleet_init(&fleet, seed + 1000);
		for (unsigned i = 0; i < 6000; i++) {
			step(&fleet, 30);
			if (roll(200) == 0)
				crash(&fleet.workers[roll(fleet.len)]);
			if (roll(500) == 0)
				restart_leader(&fleet);
		}
		fleet_fini(&fleet);
	}
}

static void who_leaves_gives_back(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		fleet_init(&fleet, seed + 5000);
		fleet.len = 2 + (unsigned)roll(WORKERS_MAX - 2);
		for (unsigned i = 0; i < 1000; i++)
			step(&fleet, 30);
		for (unsigned at = 1; at < fleet.len; at++) {
			fleet.workers[at].leaving = true;
			for (unsigned i = 0; i < 50; i++)
				step(&fleet, 30);
		}
		for (unsigned i = 0; i < 5000; i++)
			step(&fleet, 30);
		settle(&fleet);
		fleet_fini(&fleet);
	}
}

/* By hand. */

static const struct grants_terms hundred = { .limit = 100, .live_workers = 1 };

static struct usage_demand asked(uint64_t granted, uint64_t used, uint64_t want)
{
	static char key[] = KEY;

	return (struct usage_demand){
		.apikey = key, .day = DAY, .granted = granted, .used = used, .want = want
	};
}

static struct usage_demand released(uint64_t used)
{
	struct usage_demand demand = asked(used, used, 0);

	demand.release = true;
	return demand;
}

static struct grants_row look(struct grants *grants, const char *boot)
{
	struct grants_row row = { 0 };

	(void)grants_look(grants, boot, KEY, DAY, &row);
	return row;
}

/* What it is granted then. */
static uint64_t demand(
	struct grants *grants, const char *boot, struct usage_demand demand, const struct grants_terms *terms)
{
	AUTO(grants_staged) *staged = grants_stage(grants, boot);

	assert_true(grants_stage_demand(staged, &demand, terms));
	grants_apply(grants, staged, false);
	return look(grants, boot).granted;
}

static void end(struct grants *grants, const char *boot, const struct usage_demand *last)
{
	AUTO(grants_staged) *staged = grants_stage(grants, boot);
	struct grants_terms terms = hundred;

	terms.final = true;
	if (last)
		assert_true(grants_stage_demand(staged, last, &terms));
	grants_apply(grants, staged, true);
}

static void gives_by_the_formula(void **state)
{
	AUTO(grants) *grants = grants_new();
	struct grants_terms terms = { .limit = 100, .live_workers = 5 };

	(void)state;
	assert_int_equal(demand(grants, "a", asked(0, 0, 50), &terms), 10);
	assert_int_equal(demand(grants, "b", asked(0, 0, 3), &terms), 3);
	assert_int_equal(demand(grants, "a", asked(10, 4, 50), &terms), 18);
	assert_int_equal(grants_granted(grants, KEY, DAY), 21);
	terms.limit = 22;
	assert_int_equal(demand(grants, "b", asked(3, 3, 9), &terms), 4);
	assert_int_equal(demand(grants, "b", asked(4, 4, 9), &terms), 4);
	terms.limit = 0;
	assert_int_equal(demand(grants, "b", asked(4, 4, 9), &terms), 13);
}

static void calls_of_a_time_without_quota_count(void **state)
{
	AUTO(grants) *grants = grants_new();
	struct grants_terms terms = { .limit = 100, .total = 90, .ungranted = 90, .live_workers = 1 };

	(void)state;
	assert_int_equal(demand(grants, "a", asked(0, 0, 50), &terms), 5);
	terms.total = 93;
	assert_int_equal(demand(grants, "a", asked(5, 3, 50), &terms), 5 + 2);
	terms.total = 100;
	assert_int_equal(demand(grants, "a", asked(7, 7, 50), &terms), 8);
}

/* Ten are left, whether what was used of them is merged yet or not, and whether a beat has told of it. */
static void what_was_used_and_not_yet_merged_is_not_given_again(void **state)
{
	AUTO(grants) *grants = grants_new();
	struct grants_terms terms = { .limit = 100, .total = 90, .ungranted = 90, .live_workers = 1 };

	(void)state;
	assert_int_equal(demand(grants, "a", asked(0, 0, 9), &terms), 5);
	assert_int_equal(demand(grants, "a", asked(5, 5, 9), &terms), 5 + 2);
	assert_int_equal(demand(grants, "a", asked(7, 7, 9), &terms), 8);
	assert_int_equal(demand(grants, "a", asked(8, 8, 9), &terms), 9);
	assert_int_equal(demand(grants, "a", asked(9, 9, 9), &terms), 10);
	assert_int_equal(demand(grants, "a", asked(10, 10, 9), &terms), 10);
	assert_int_equal(demand(grants, "b", asked(0, 0, 9), &terms), 0);
	terms.total = 100;
	assert_int_equal(demand(grants, "b", asked(0, 0, 9), &terms), 0);
}

static void a_copy_of_a_demand_gets_nothing_twice(void **state)
{
	AUTO(grants) *grants = grants_new();

	(void)state;
	assert_int_equal(demand(grants, "a", asked(0, 0, 8), &hundred), 8);
	assert_int_equal(demand(grants, "a", asked(0, 0, 8), &hundred), 8);
	assert_int_equal(demand(grants, "a", asked(0, 2, 8), &hundred), 10);
	assert_int_equal(demand(grants, "a", asked(10, 2, 8), &hundred), 18);
}

static void the_second_demand_for_a_key_in_one_push_counts_for_nothing(void **state)
{
	AUTO(grants) *grants = grants_new();
	AUTO(grants_staged) *staged = grants_stage(grants, "a");
	struct usage_demand first = asked(0, 0, 8), second = asked(8, 0, 8);
	size_t len;

	(void)state;
	assert_true(grants_stage_demand(staged, &first, &hundred));
	assert_true(grants_stage_demand(staged, &second, &hundred));
	(void)grants_staged_rows(staged, &len);
	assert_int_equal(len, 1);
	grants_apply(grants, staged, false);
	assert_int_equal(grants_granted(grants, KEY, DAY), 8);
}

/* [X6] */
static void a_failed_ledger_inflates_nothing(void **state)
{
	AUTO(grants) *grants = grants_new();

	(void)state;
	assert_int_equal(demand(grants, "a", asked(0, 0, 8), &hundred), 8);
	for (int i = 0; i < 40; i++) {
		AUTO(grants_staged) *staged = grants_stage(grants, "a");
		struct usage_demand more = asked(8, 2, 8);
		assert_true(grants_stage_demand(staged, &more, &hundred));
	}
	assert_int_equal(grants_granted(grants, KEY, DAY), 8);
	assert_int_equal(look(grants, "a").used, 0);
	assert_int_equal(demand(grants, "b", asked(0, 0, 90), &hundred), 46);
}

static bool count(void *arg, const struct grants_row *row)
{
	(void)row;
	++*(unsigned *)arg;
	return true;
}

static void recalls_until_released(void **state)
{
	AUTO(grants) *grants = grants_new();
	struct grants_terms terms = { .limit = 2, .live_workers = 1 };
	unsigned unused = 0;

	(void)state;
	(void)demand(grants, "a", asked(0, 0, 1), &terms);
	(void)demand(grants, "a", asked(1, 0, 1), &terms);
	assert_int_equal(demand(grants, "b", asked(0, 0, 5), &terms), 0);
	assert_true(look(grants, "a").recall);
	assert_int_equal(demand(grants, "a", asked(2, 1, 0), &terms), 2);
	assert_true(look(grants, "a").recall);
	grants_each_unused(grants, "a", count, &unused);
	assert_int_equal(unused, 1);
	assert_int_equal(demand(grants, "a", released(1), &terms), 1);
	assert_false(look(grants, "a").recall);
	grants_each_unused(grants, "a", count, &unused);
	assert_int_equal(unused, 1);
	assert_int_equal(demand(grants, "b", asked(0, 0, 5), &terms), 1);
}

static bool recalls_from(
	struct grants *grants, const char *boot, struct usage_demand demand, const char *other)
{
	AUTO(grants_staged) *staged = grants_stage(grants, boot);
	struct grants_terms terms = { .limit = 2, .live_workers = 1 };

	assert_true(grants_stage_demand(staged, &demand, &terms));
	assert_null(grants_staged_recalled(staged));
	grants_apply(grants, staged, false);
	return grants_staged_recalled(staged) && map_find(grants_staged_recalled(staged), str_of(other));
}

static void tells_once_from_whom_it_recalls(void **state)
{
	AUTO(grants) *grants = grants_new();

	(void)state;
	assert_false(recalls_from(grants, "a", asked(0, 0, 1), "a"));
	assert_false(recalls_from(grants, "a", asked(1, 0, 1), "a"));
	assert_false(recalls_from(grants, "b", asked(0, 0, 0), "a"));
	assert_true(recalls_from(grants, "b", asked(0, 0, 5), "a"));
	assert_false(recalls_from(grants, "b", asked(0, 0, 5), "a"));
	assert_false(recalls_from(grants, "a", released(0), "a"));
	assert_false(recalls_from(grants, "b", asked(0, 0, 5), "a"));
}

/* What workers say to have used is not merged yet, or is of a boot that is over. */
static void the_total_has_what_is_used_and_not_yet_merged(void **state)
{
	AUTO(grants) *grants = grants_new();
	struct grants_terms terms = { .limit = 100, .total = 20, .ungranted = 20, .live_workers = 1 };
	struct usage_demand last = asked(30, 30, 0);

	(void)state;
	assert_int_equal(demand(grants, "a", asked(0, 0, 30), &terms), 30);
	assert_int_equal(look(grants, "a").total, 20);
	assert_int_equal(demand(grants, "a", asked(30, 25, 0), &terms), 30);
	assert_int_equal(look(grants, "a").total, 45);
	terms.total = 45;
	assert_int_equal(demand(grants, "b", asked(0, 0, 5), &terms), 5);
	assert_int_equal(look(grants, "b").total, 45);
	end(grants, "a", &last);
	assert_int_equal(look(grants, "b").total, 50);
	terms.total = 60;
	assert_int_equal(demand(grants, "b", asked(5, 5, 0), &terms), 5);
	assert_int_equal(look(grants, "b").total, 60);
}

/* [X11] */
static void while_it_hears_facts_count_and_nothing_is_given(void **state)
{
	AUTO(grants) *grants = grants_new();
	struct grants_terms terms = hundred;

	(void)state;
	(void)demand(grants, "b", asked(0, 0, 99), &terms);
	terms.hold = true;
	assert_int_equal(demand(grants, "a", asked(60, 10, 8), &terms), 60);
	assert_int_equal(look(grants, "a").used, 10);
	assert_false(look(grants, "b").recall);
	terms.hold = false;
	assert_int_equal(demand(grants, "a", asked(60, 10, 8), &terms), 60);
	assert_true(look(grants, "b").recall);
}

static void what_is_told_is_a_fact(void **state)
{
	AUTO(grants) *grants = grants_new();
	AUTO(grants_staged) *staged = grants_stage(grants, "a");
	struct grants_terms terms = { .limit = 10, .live_workers = 1 };
	struct usage_demand known = asked(25, 20, 0), more = asked(30, 20, 0);

	(void)state;
	assert_int_equal(demand(grants, "a", asked(0, 25, 1), &terms), 25);
	assert_int_equal(demand(grants, "b", asked(0, 0, 1), &terms), 0);
	assert_true(grants_stage_demand(staged, &known, &terms));
	assert_false(grants_staged_told_more(staged));
	grants_staged_free(staged);
	staged = grants_stage(grants, "a");
	assert_true(grants_stage_demand(staged, &more, &terms));
	assert_true(grants_staged_told_more(staged));
	grants_apply(grants, staged, false);
	assert_int_equal(grants_granted(grants, KEY, DAY), 30);
	assert_int_equal(look(grants, "a").used, 25);
}

/* What a boot says to hold is what it holds, when it has heard this leader. Another one can only raise. */
static void who_has_heard_can_lower_what_is_granted(void **state)
{
	AUTO(grants) *grants = grants_new();
	struct grants_terms tells = hundred;

	(void)state;
	tells.only_tells = true;
	assert_int_equal(demand(grants, "a", asked(0, 0, 9), &hundred), 9);
	assert_int_equal(demand(grants, "a", asked(4, 1, 9), &tells), 9);
	assert_int_equal(demand(grants, "a", released(2), &tells), 9);
	assert_int_equal(look(grants, "a").used, 2);
	assert_int_equal(demand(grants, "a", asked(12, 2, 9), &tells), 12);
	assert_int_equal(demand(grants, "a", asked(12, 2, 9), &hundred), 21);
	assert_int_equal(demand(grants, "a", asked(4, 2, 0), &hundred), 4);
	assert_int_equal(demand(grants, "a", asked(4, 2, 3), &hundred), 7);
	assert_int_equal(demand(grants, "a", released(3), &hundred), 3);
}

/* What the ledger remembers too much of is told to nobody. */
static void recalls_only_what_the_boot_knows_from_this_leader(void **state)
{
	AUTO(grants) *grants = grants_new();
	char boot[] = "a", key[] = KEY;
	struct ledger_grant stored = { .boot = boot, .apikey = key, .day = DAY, .granted = 9, .used = 1 };
	struct grants_terms tells = hundred;
	unsigned unused = 0;

	(void)state;
	tells.only_tells = true;
	grants_load(grants, &stored);
	grants_each_unused(grants, "a", count, &unused);
	(void)demand(grants, "a", asked(5, 1, 0), &tells);
	grants_each_unused(grants, "a", count, &unused);
	assert_int_equal(unused, 0);
	(void)demand(grants, "a", asked(5, 1, 0), &hundred);
	grants_each_unused(grants, "a", count, &unused);
	assert_int_equal(unused, 1);
}

static void no_number_is_too_large(void **state)
{
	AUTO(grants) *grants = grants_new();
	struct grants_terms terms = { .limit = INT64_MAX, .total = UINT64_MAX, .live_workers = 1 };

	(void)state;
	for (int i = 0; i < 20; i++) {
		char boot[16];
		(void)snprintf(boot, sizeof(boot), "%d", i);
		assert_int_equal(demand(grants, boot, asked(UINT64_MAX, UINT64_MAX, UINT64_MAX), &terms),
			LEDGER_GRANT_MAX);
	}
	assert_int_equal(grants_granted(grants, KEY, DAY), 20 * LEDGER_GRANT_MAX);
	terms.limit = 0;
	assert_int_equal(demand(grants, "0", asked(1, 1, UINT64_MAX), &terms), LEDGER_GRANT_MAX);
}

static void a_boot_that_is_over_counts_what_it_used(void **state)
{
	AUTO(grants) *grants = grants_new();
	struct usage_demand last = asked(0, 9, 0);

	(void)state;
	(void)demand(grants, "a", asked(0, 4, 20), &hundred);
	(void)demand(grants, "b", asked(0, 3, 20), &hundred);
	end(grants, "a", &last);
	assert_int_equal(grants_granted(grants, KEY, DAY), 9 + 23);
	/* What it does not name is as it told before. */
	end(grants, "b", NULL);
	assert_int_equal(grants_granted(grants, KEY, DAY), 9 + 3);
	assert_int_equal(look(grants, "a").granted, 0);
	assert_int_equal(demand(grants, "c", asked(0, 0, 100), &hundred), (100 - 12) / 2);
}

static void forgets_old_days(void **state)
{
	AUTO(grants) *grants = grants_new();

	(void)state;
	(void)demand(grants, "a", asked(0, 0, 4), &hundred);
	grants_forget(grants, DAY);
	assert_int_equal(grants_granted(grants, KEY, DAY), 4);
	grants_forget(grants, "2026-11-21");
	assert_int_equal(grants_granted(grants, KEY, DAY), 0);
	assert_int_equal(look(grants, "a").granted, 0);
}

static void there_is_a_bound_on_rows(void **state)
{
	AUTO(grants) *grants = grants_new();
	AUTO(grants_staged) *staged = NULL;
	struct grants_terms terms = hundred;
	char key[16];

	(void)state;
	for (unsigned i = 0; i < GRANTS_ROWS_MAX; i++) {
		struct ledger_grant row = { .boot = key, .apikey = key, .day = DAY, .granted = 1 };
		(void)snprintf(key, sizeof(key), "key-%u", i);
		grants_load(grants, &row);
	}
	staged = grants_stage(grants, "key-1");
	struct usage_demand new = asked(0, 0, 5), known = asked(0, 0, 5);
	(void)snprintf(key, sizeof(key), "key-1");
	known.apikey = key;
	assert_false(grants_stage_demand(staged, &new, &terms));
	assert_true(grants_stage_demand(staged, &known, &terms));
}

/* ---- shares of a second, months ---- */

#define SECOND "second"

static bool is_b(void *arg, const char *boot)
{
	return arg && !strcmp(boot, "b");
}

/* It holds so many, and would like so many more, for which calls wait. silent: b is. */
static struct grants_row ask_share(struct grants *grants, const char *boot, uint64_t holds, uint64_t want,
	bool silent, size_t *ret_stored)
{
	AUTO(grants_staged) *staged = grants_stage(grants, boot);
	char key[] = KEY;
	struct usage_demand demand = {
		.apikey = key, .day = SECOND, .granted = holds, .want = want, .waits = want
	};
	struct grants_terms terms = {
		.limit = 100, .live_workers = 3, .is_silent = is_b, .arg = silent ? staged : NULL
	};
	struct grants_row row = { 0 };

	assert_true(grants_stage_demand(staged, &demand, &terms));
	(void)grants_staged_rows(staged, ret_stored);
	grants_apply(grants, staged, false);
	assert_true(grants_look(grants, boot, KEY, SECOND, &row));
	return row;
}

static void a_share_is_given_whole_and_never_twice(void **state)
{
	AUTO(grants) *grants = grants_new();
	size_t stored;

	(void)state;
	assert_int_equal(ask_share(grants, "a", 0, 60, false, &stored).granted, 60);
	assert_int_equal(ask_share(grants, "b", 0, 60, false, &stored).granted, 40);
	assert_int_equal(ask_share(grants, "c", 0, 10, false, &stored).granted, 0);
	assert_int_equal(grants_granted(grants, KEY, SECOND), 100);
}

/* It used a part in this second: that stays, and nobody asks for it again and again. */
static void who_gave_back_what_it_could_is_asked_no_more(void **state)
{
	AUTO(grants) *grants = grants_new();
	struct grants_row row;
	size_t stored;

	(void)state;
	(void)ask_share(grants, "a", 0, 100, false, &stored);
	assert_int_equal(ask_share(grants, "b", 0, 10, false, &stored).granted, 0);
	assert_true(grants_look(grants, "a", KEY, SECOND, &row));
	assert_true(row.recall);
	row = ask_share(grants, "a", 30, 0, false, &stored);
	assert_int_equal(row.granted, 30);
	assert_false(row.recall);
	assert_int_equal(ask_share(grants, "b", 0, 10, false, &stored).granted, 10);
}

static void the_share_of_who_is_silent_goes_to_others(void **state)
{
	AUTO(grants) *grants = grants_new();
	struct grants_row row;
	size_t stored;

	(void)state;
	(void)ask_share(grants, "b", 0, 80, false, &stored);
	assert_int_equal(ask_share(grants, "a", 0, 50, false, &stored).granted, 20);
	assert_int_equal(stored, 1);
	assert_int_equal(ask_share(grants, "a", 20, 50, true, &stored).granted, 70);
	assert_int_equal(stored, 2);
	assert_false(grants_look(grants, "b", KEY, SECOND, &row));
	assert_int_equal(grants_granted(grants, KEY, SECOND), 70);
	/* It comes back, and tells what it holds: nothing. */
	assert_int_equal(ask_share(grants, "b", 0, 50, false, &stored).granted, 30);
}

static void months_and_shares_are_kept_when_days_go(void **state)
{
	static const char *const windows[] = { "2026-11", "2026-11#bytes", "2026-10", "2026-11-19", SECOND };
	AUTO(grants) *grants = grants_new();
	char boot[] = "a", key[] = KEY;

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		struct ledger_grant grant = { .boot = boot, .apikey = key, .granted = 1 };
		assert_true(str_copy(str_of(windows[i]), grant.day, sizeof(grant.day)));
		grants_load(grants, &grant);
	}
	grants_forget(grants, "2026-11-20");
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(grants_granted(grants, KEY, windows[i]), i == 2 || i == 3 ? 0 : 1);
}

/* ---- what is gathered for one call ---- */

/* It holds so many unused, and calls wait of which the smallest lacks so many. */
static struct usage_demand gathers(uint64_t holds, uint64_t needs)
{
	struct usage_demand demand = asked(holds, 0, needs);

	demand.waits = demand.needs = needs;
	return demand;
}

static uint64_t may_come(struct grants *grants, const char *boot, bool b_is_away)
{
	struct grants_terms terms = { .limit = 100, .is_silent = is_b, .arg = b_is_away ? grants : NULL };
	struct usage_demand demand = gathers(0, 1);

	return grants_coming(grants, boot, &demand, &terms);
}

/* Two that lack the same would take parts from each other for ever. */
static void what_helps_no_call_is_kept_until_it_does(void **state)
{
	AUTO(grants) *grants = grants_new();

	(void)state;
	assert_int_equal(demand(grants, "a", gathers(0, 40), &hundred), 40);
	assert_int_equal(demand(grants, "b", gathers(0, 40), &hundred), 40);
	assert_int_equal(demand(grants, "a", gathers(40, 30), &hundred), 40);
	assert_true(look(grants, "b").recall);
	assert_int_equal(demand(grants, "b", gathers(40, 30), &hundred), 40);
	assert_true(look(grants, "a").recall);
	/* Both give back; who asks first has it in one piece. */
	assert_int_equal(demand(grants, "a", released(0), &hundred), 0);
	assert_int_equal(demand(grants, "b", gathers(40, 30), &hundred), 70);
	assert_int_equal(demand(grants, "a", gathers(0, 70), &hundred), 0);
	assert_true(look(grants, "b").recall);
	assert_int_equal(demand(grants, "b", released(0), &hundred), 0);
	assert_int_equal(demand(grants, "a", gathers(0, 70), &hundred), 70);
}

static void what_may_come_is_what_is_unused_and_not_under_way(void **state)
{
	AUTO(grants) *grants = grants_new();
	struct usage_demand of_b = asked(0, 0, 0);

	(void)state;
	(void)demand(grants, "a", gathers(0, 30), &hundred);
	(void)demand(grants, "b", gathers(0, 50), &hundred);
	assert_int_equal(may_come(grants, "c", false), 100);
	assert_int_equal(may_come(grants, "a", false), 70);
	of_b.granted = 50;
	of_b.used = 10;
	of_b.reserved = 25;
	(void)demand(grants, "b", of_b, &hundred);
	assert_int_equal(may_come(grants, "a", false), 20 + 15);
	assert_int_equal(may_come(grants, "a", true), 20);
	assert_int_equal(may_come(grants, "b", true), 50);
	of_b.reserved = UINT64_MAX;
	(void)demand(grants, "b", of_b, &hundred);
	assert_int_equal(may_come(grants, "a", false), 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_by_the_formula),
		cmocka_unit_test(calls_of_a_time_without_quota_count),
		cmocka_unit_test(what_was_used_and_not_yet_merged_is_not_given_again),
		cmocka_unit_test(a_copy_of_a_demand_gets_nothing_twice),
		cmocka_unit_test(the_second_demand_for_a_key_in_one_push_counts_for_nothing),
		cmocka_unit_test(a_failed_ledger_inflates_nothing),
		cmocka_unit_test(recalls_until_released),
		cmocka_unit_test(tells_once_from_whom_it_recalls),
		cmocka_unit_test(the_total_has_what_is_used_and_not_yet_merged),
		cmocka_unit_test(while_it_hears_facts_count_and_nothing_is_given),
		cmocka_unit_test(what_is_told_is_a_fact),
		cmocka_unit_test(who_has_heard_can_lower_what_is_granted),
		cmocka_unit_test(recalls_only_what_the_boot_knows_from_this_leader),
		cmocka_unit_test(no_number_is_too_large),
		cmocka_unit_test(a_boot_that_is_over_counts_what_it_used),
		cmocka_unit_test(forgets_old_days),
		cmocka_unit_test(there_is_a_bound_on_rows),
		cmocka_unit_test(lossy_network_ends_at_the_quota),
		cmocka_unit_test(crashes_never_pass_the_quota),
		cmocka_unit_test(who_leaves_gives_back),
		cmocka_unit_test(a_share_is_given_whole_and_never_twice),
		cmocka_unit_test(who_gave_back_what_it_could_is_asked_no_more),
		cmocka_unit_test(the_share_of_who_is_silent_goes_to_others),
		cmocka_unit_test(months_and_shares_are_kept_when_days_go),
		cmocka_unit_test(what_helps_no_call_is_kept_until_it_does),
		cmocka_unit_test(what_may_come_is_what_is_unused_and_not_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
