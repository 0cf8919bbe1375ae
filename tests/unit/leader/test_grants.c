/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Grants are driven as a fleet drives them: workers that push until they are acknowledged, a network that
 * loses answers and delivers copies of pushes late and in any order, recalls, restarts of workers and of the
 * leader. Whatever happens, the calls that were admitted never pass the quota.
 */
#include "leader/grants.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/check.h"

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
	unsigned worker, attempt;
	char boot[32];
	uint64_t seq;
	bool final;
	struct usage_demand demand;
};

struct worker {
	unsigned boots, attempt;
	uint64_t seq; /* of the push under way */
	bool pushing;
	uint64_t granted, used;
	bool release, recalled, leaving, left;
};

struct stored {
	char worker[16], boot[32];
	uint64_t seq;
};

struct fleet {
	struct grants *grants;
	struct worker workers[WORKERS_MAX];
	unsigned len;
	uint64_t quota, admitted;
	struct message flight[IN_FLIGHT_MAX];
	size_t flight_len;
	struct stored seqs[STORED_MAX]; /* the store's highest seq */
	size_t seqs_len;
	struct store_grant rows[STORED_MAX]; /* the store's grants */
	size_t rows_len;
};

/* The store, so that the leader can be restarted. */

static uint64_t *seq_of(struct fleet *fleet, const char *worker, const char *boot)
{
	for (size_t i = 0; i < fleet->seqs_len; i++)
		if (!strcmp(fleet->seqs[i].worker, worker) && !strcmp(fleet->seqs[i].boot, boot))
			return &fleet->seqs[i].seq;
	assert_true(fleet->seqs_len < STORED_MAX);
	struct stored *new = &fleet->seqs[fleet->seqs_len++];
	(void)snprintf(new->worker, sizeof(new->worker), "%s", worker);
	(void)snprintf(new->boot, sizeof(new->boot), "%s", boot);
	new->seq = 0;
	return &new->seq;
}

static bool put_row(void *arg, const struct store_grant *grant)
{
	struct fleet *fleet = arg;
	struct store_grant *row = NULL;

	for (size_t i = 0; i < fleet->rows_len && !row; i++)
		if (!strcmp(fleet->rows[i].worker, grant->worker) &&
			!strcmp(fleet->rows[i].boot, grant->boot))
			row = &fleet->rows[i];
	if (!row) {
		assert_true(fleet->rows_len < STORED_MAX);
		row = &fleet->rows[fleet->rows_len++];
		*row = *grant;
		row->worker = check_strdup(grant->worker);
		row->boot = check_strdup(grant->boot);
		row->apikey = check_strdup(grant->apikey);
	}
	row->granted = grant->granted;
	row->used = grant->used;
	row->finished = grant->finished;
	return true;
}

static void restart_leader(struct fleet *fleet)
{
	grants_free(fleet->grants);
	fleet->grants = grants_new();
	for (size_t i = 0; i < fleet->rows_len; i++)
		grants_load(fleet->grants, &fleet->rows[i]);
}

/* Workers. */

static void names_of(const struct fleet *fleet, unsigned at, char worker[16], char boot[32])
{
	(void)snprintf(worker, 16, "w%u", at);
	(void)snprintf(boot, 32, "boot-%u", fleet->workers[at].boots);
}

static void admit(struct fleet *fleet, struct worker *worker)
{
	if (worker->left || worker->leaving || worker->used >= worker->granted)
		return;
	worker->used++;
	fleet->admitted++;
	assert_true(fleet->admitted <= fleet->quota);
}

/* A new push, or one more copy of the one that was not acknowledged, with what is wanted by now. */
static void send_push(struct fleet *fleet, unsigned at)
{
	struct worker *worker = &fleet->workers[at];
	struct message message = { .worker = at };
	char name[16];

	if (worker->left || fleet->flight_len == IN_FLIGHT_MAX)
		return;
	if (!worker->pushing) {
		worker->seq++;
		worker->pushing = true;
	}
	if (worker->recalled && !worker->release) {
		worker->granted = worker->used;
		worker->release = true;
	}
	names_of(fleet, at, name, message.boot);
	message.attempt = ++worker->attempt;
	message.seq = worker->seq;
	message.final = worker->leaving;
	message.demand = (struct usage_demand){ .apikey = check_strdup(KEY),
		.day = DAY,
		.used = worker->used,
		.want = worker->leaving ? 0 : roll(20),
		.release = worker->release };
	fleet->flight[fleet->flight_len++] = message;
}

struct answer {
	uint64_t granted;
	bool recall, found;
};

static void find_answer(void *arg, const struct store_grant *grant, bool recall)
{
	*(struct answer *)arg = (struct answer){ .granted = grant->granted, .recall = recall, .found = true };
}

static void take_answer(struct worker *worker, const struct message *message, const struct answer *answer)
{
	worker->pushing = false;
	worker->release = false;
	assert_true(answer->granted >= worker->used || message->final);
	worker->granted = answer->granted;
	worker->recalled = answer->recall && worker->granted > worker->used;
	if (message->final)
		worker->left = true;
}

/* The leader takes any message that is on its way; its answer may be lost, and is when nobody waits for it.
 */
static void deliver(struct fleet *fleet, unsigned lost_percent)
{
	size_t at = roll(fleet->flight_len);
	struct message message = fleet->flight[at];
	struct worker *worker = &fleet->workers[message.worker];
	const struct store_grant *grant;
	struct answer answer = { 0 };
	char name[16], boot[32];
	unsigned live = 0;

	fleet->flight[at] = fleet->flight[--fleet->flight_len];
	names_of(fleet, message.worker, name, boot);
	for (unsigned i = 0; i < fleet->len; i++)
		live += !fleet->workers[i].left;
	uint64_t *seq = seq_of(fleet, name, message.boot);
	if (message.seq >= *seq) {
		struct grants_terms terms = {
			.limit = fleet->quota, .live_workers = live, .repeated = message.seq == *seq
		};
		*seq = message.seq;
		grants_demand(fleet->grants, name, message.boot, &message.demand, &terms, &grant);
		(void)put_row(fleet, grant);
		if (message.final)
			grants_finish(fleet->grants, name, message.boot, put_row, fleet);
	}
	assert_true(grants_granted(fleet->grants, KEY, DAY) <= fleet->quota);
	free(message.demand.apikey);
	if (strcmp(message.boot, boot) != 0 || message.attempt != worker->attempt || !worker->pushing ||
		roll(100) < lost_percent)
		return;
	grants_each(fleet->grants, name, message.boot, find_answer, &answer);
	assert_true(answer.found);
	take_answer(worker, &message, &answer);
}

static void crash(struct worker *worker)
{
	unsigned boots = worker->boots, attempt = worker->attempt;

	*worker = (struct worker){ .boots = boots + 1, .attempt = attempt + 1 };
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
		free(fleet->rows[i].worker);
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
		send_push(fleet, at);
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
	for (uint64_t seed = 1; seed <= 150; seed++) {
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
	for (uint64_t seed = 1; seed <= 150; seed++) {
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
	for (uint64_t seed = 1; seed <= 100; seed++) {
		fleet_init(&fleet, seed + 5000);
		fleet.len = 2 + (unsigned)roll(WORKERS_MAX - 2);
		for (unsigned i = 0; i < 1000; i++)
			step(&fleet, 30);
		for (unsigned at = 1; at < fleet.len; at++) {
			/* The final push is a new one: what was under way is acknowledged first. */
			while (fleet.workers[at].pushing) {
				send_push(&fleet, at);
				while (fleet.flight_len)
					deliver(&fleet, 0);
			}
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

static const struct store_grant *demand(struct grants *grants, const char *worker, uint64_t used,
	uint64_t want, bool release, const struct grants_terms *terms)
{
	const struct store_grant *grant;
	struct usage_demand asked = { .day = DAY, .used = used, .want = want, .release = release };

	asked.apikey = check_strdup(KEY);
	grants_demand(grants, worker, "boot", &asked, terms, &grant);
	free(asked.apikey);
	return grant;
}

static void gives_by_the_formula(void **state)
{
	AUTO(grants) *grants = grants_new();
	struct grants_terms terms = { .limit = 100, .live_workers = 5 };

	(void)state;
	assert_int_equal(demand(grants, "a", 0, 50, false, &terms)->granted, 10);
	assert_int_equal(demand(grants, "b", 0, 3, false, &terms)->granted, 3);
	assert_int_equal(demand(grants, "a", 4, 50, false, &terms)->granted, 18);
	assert_int_equal(grants_granted(grants, KEY, DAY), 21);
	terms.limit = 22;
	assert_int_equal(demand(grants, "b", 3, 9, false, &terms)->granted, 4);
	assert_int_equal(demand(grants, "b", 4, 9, false, &terms)->granted, 4);
	terms.limit = 0;
	assert_int_equal(demand(grants, "b", 4, 9, false, &terms)->granted, 13);
}

static void recalls_until_released(void **state)
{
	AUTO(grants) *grants = grants_new();
	struct grants_terms terms = { .limit = 2, .live_workers = 1 };
	struct answer answer = { 0 };

	(void)state;
	(void)demand(grants, "a", 0, 1, false, &terms);
	(void)demand(grants, "a", 0, 1, false, &terms);
	assert_int_equal(demand(grants, "b", 0, 5, false, &terms)->granted, 0);
	for (int i = 0; i < 2; i++) {
		grants_each(grants, "a", "boot", find_answer, &answer);
		assert_true(answer.recall);
		assert_int_equal(answer.granted, 2);
	}
	assert_int_equal(demand(grants, "a", 1, 0, true, &terms)->granted, 1);
	grants_each(grants, "a", "boot", find_answer, &answer);
	assert_false(answer.recall);
	assert_int_equal(demand(grants, "b", 0, 5, false, &terms)->granted, 1);
}

static void a_copy_takes_nothing_back(void **state)
{
	AUTO(grants) *grants = grants_new();
	struct grants_terms terms = { .limit = 100, .live_workers = 1 };

	(void)state;
	assert_int_equal(demand(grants, "a", 0, 8, false, &terms)->granted, 8);
	terms.repeated = true;
	assert_int_equal(demand(grants, "a", 0, 8, false, &terms)->granted, 8);
	assert_int_equal(demand(grants, "a", 0, 0, true, &terms)->granted, 8);
	assert_int_equal(demand(grants, "a", 2, 8, false, &terms)->granted, 10);
}

static void what_was_used_is_a_fact(void **state)
{
	AUTO(grants) *grants = grants_new();
	struct grants_terms terms = { .limit = 10, .live_workers = 1 };

	(void)state;
	assert_int_equal(demand(grants, "a", 25, 1, false, &terms)->granted, 25);
	assert_int_equal(demand(grants, "b", 0, 1, false, &terms)->granted, 0);
	assert_int_equal(demand(grants, "c", UINT64_MAX, UINT64_MAX, false, &terms)->used, UINT64_MAX);
}

static void forgets_old_days(void **state)
{
	AUTO(grants) *grants = grants_new();
	struct grants_terms terms = { .limit = 10, .live_workers = 1 };
	struct answer answer = { 0 };

	(void)state;
	(void)demand(grants, "a", 0, 4, false, &terms);
	grants_forget(grants, DAY);
	assert_int_equal(grants_granted(grants, KEY, DAY), 4);
	grants_forget(grants, "2026-11-21");
	assert_int_equal(grants_granted(grants, KEY, DAY), 0);
	grants_each(grants, "a", "boot", find_answer, &answer);
	assert_false(answer.found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_by_the_formula),
		cmocka_unit_test(recalls_until_released),
		cmocka_unit_test(a_copy_takes_nothing_back),
		cmocka_unit_test(what_was_used_is_a_fact),
		cmocka_unit_test(forgets_old_days),
		cmocka_unit_test(lossy_network_ends_at_the_quota),
		cmocka_unit_test(crashes_never_pass_the_quota),
		cmocka_unit_test(who_leaves_gives_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
