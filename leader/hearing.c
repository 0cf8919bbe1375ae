/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/hearing.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/log.h"
#include "leader/ledger.h"

#define OWN_MAX   (LEDGER_LIVES_KEPT + 1)
#define LIVES_MAX (2 * OWN_MAX) /* as many of others that were told of */

struct expected {
	char *process;
	bool heard;
};

struct hearing {
	pthread_mutex_t lock;
	struct ledger_life lives[LIVES_MAX]; /* own ones, then those that others told of */
	size_t own, len, next_other;
	struct expected *expected;
	size_t expected_len, expected_room, heard;
	int64_t since_ms, until_ms;
	bool holding;
	bool no_proof;    /* something was told that the ledger does not have, or may have been */
	bool stored;      /* that it has heard */
	bool newer_state; /* was told of */
};

struct hearing *hearing_new(void)
{
	struct hearing *hearing = xnew(struct hearing);

	(void)pthread_mutex_init(&hearing->lock, NULL);
	return hearing;
}

void hearing_free(struct hearing *hearing)
{
	if (!hearing)
		return;
	for (size_t i = 0; i < hearing->expected_len; i++)
		free(hearing->expected[i].process);
	free(hearing->expected);
	(void)pthread_mutex_destroy(&hearing->lock);
	free(hearing);
}

/* Holding. */

static void hold(struct hearing *hearing, int64_t now_ms, int64_t grant_ms)
{
	hearing->since_ms = now_ms;
	hearing->until_ms = now_ms + grant_ms;
	hearing->holding = grant_ms > 0;
}

static void deal(struct hearing *hearing, int64_t now_ms, const char *why)
{
	hearing->holding = false;
	log_info("grants.dealing", "ms=%" PRId64 " why=%s", now_ms - hearing->since_ms, why);
}

/* Whether it holds, now. */
static bool is_holding(struct hearing *hearing, int64_t now_ms)
{
	if (hearing->holding && now_ms >= hearing->until_ms)
		deal(hearing, now_ms, "time");
	return hearing->holding;
}

static void lost(struct hearing *hearing, const struct usage_report *report, const char *what, int64_t now_ms,
	int64_t grant_ms)
{
	hearing->no_proof = true;
	hold(hearing, now_ms, grant_ms);
	log_error("store.rewound",
		"name=%s witness=%s what=%s the store has lost what this worker was told: no grants for "
		"ms=%" PRId64,
		log_quote(str_of(report->worker)), log_quote(str_of(report->witness)),
		log_quote(str_of(what)), grant_ms);
}

/* Start. */

void hearing_life(struct hearing *hearing, const char *id, uint64_t dealings)
{
	struct ledger_life *life = &hearing->lives[hearing->own];

	CHECK(hearing->own < OWN_MAX && hearing->len == hearing->own);
	CHECK(str_copy(str_of(id), life->id, sizeof(life->id)));
	life->dealings = dealings;
	hearing->len = ++hearing->own;
}

static void widen(struct hearing *hearing)
{
	size_t room = hearing->expected_room ? hearing->expected_room * 2 : 16;
	struct expected *wider = xnew_array(struct expected, room);

	if (hearing->expected_len)
		memcpy(wider, hearing->expected, hearing->expected_len * sizeof(*wider));
	free(hearing->expected);
	hearing->expected = wider;
	hearing->expected_room = room;
}

void hearing_expect(struct hearing *hearing, const char *process)
{
	if (hearing->expected_len == hearing->expected_room)
		widen(hearing);
	hearing->expected[hearing->expected_len++] = (struct expected){ .process = check_strdup(process) };
}

void hearing_start(struct hearing *hearing, int64_t now_ms, int64_t grant_ms, enum hearing_first first)
{
	pthread_mutex_lock(&hearing->lock);
	hold(hearing, now_ms, first == HEARING_NONE ? 0 : grant_ms);
	hearing->no_proof = first == HEARING_NO_PROOF;
	pthread_mutex_unlock(&hearing->lock);
	if (first != HEARING_NONE)
		log_info("grants.hearing", "members=%zu proof=%s ms=%" PRId64, hearing->expected_len,
			first == HEARING_PROOF ? "yes" : "no", grant_ms);
}

/* Other leaders of this ledger. */

void hearing_join(struct hearing *hearing, int64_t now_ms, int64_t grant_ms, bool heard)
{
	pthread_mutex_lock(&hearing->lock);
	hold(hearing, now_ms, heard ? 0 : grant_ms);
	hearing->stored = heard;
	pthread_mutex_unlock(&hearing->lock);
	log_info("grants.joined", "dealing=%s", heard ? "yes" : "no");
}

void hearing_follow(struct hearing *hearing, bool heard, int64_t now_ms, int64_t grant_ms)
{
	pthread_mutex_lock(&hearing->lock);
	hearing->stored = heard;
	if (heard && hearing->holding)
		deal(hearing, now_ms, "another_leader");
	if (!heard) {
		hearing->no_proof = true;
		hold(hearing, now_ms, grant_ms);
	}
	pthread_mutex_unlock(&hearing->lock);
}

/* Those that others told of give way: they may be news again. */
static void add_life(struct hearing *hearing, const char *id)
{
	struct ledger_life life = { 0 };

	if (hearing->own == OWN_MAX)
		memmove(&hearing->lives[0], &hearing->lives[1], (--hearing->own) * sizeof(life));
	hearing->len = hearing->own;
	hearing->next_other = 0;
	CHECK(str_copy(str_of(id), life.id, sizeof(life.id)));
	hearing->lives[hearing->own++] = life;
	hearing->len = hearing->own;
}

void hearing_follow_life(struct hearing *hearing, const char *id, int64_t now_ms, int64_t grant_ms)
{
	pthread_mutex_lock(&hearing->lock);
	add_life(hearing, id);
	hearing->stored = false;
	hearing->no_proof = true;
	hold(hearing, now_ms, grant_ms);
	pthread_mutex_unlock(&hearing->lock);
	log_warn("grants.hearing", "why=\"another leader began another life of the store\" ms=%" PRId64,
		grant_ms);
}

/* Witnesses. */

/* What is no witness is one of a life that nobody knows. */
static struct ledger_life parse_witness(const char *witness)
{
	struct ledger_life life = { .id = "?", .dealings = UINT64_MAX };
	struct str number = str_of(witness), id;
	uint64_t dealings;

	if (str_until(&number, ':', &id) && id.len == 16 &&
		str_to_number(number, UINT64_MAX - 1, &dealings) && str_copy(id, life.id, sizeof(life.id)))
		life.dealings = dealings;
	return life;
}

static struct ledger_life *find_life(struct hearing *hearing, const char *id)
{
	for (size_t i = 0; i < hearing->len; i++)
		if (!strcmp(hearing->lives[i].id, id))
			return &hearing->lives[i];
	return NULL;
}

/* From now on it is known of, so the same is no news again. */
static void note_life(struct hearing *hearing, const struct ledger_life *told)
{
	struct ledger_life *known = find_life(hearing, told->id);

	if (!known && hearing->len < LIVES_MAX)
		known = &hearing->lives[hearing->len++];
	if (!known)
		known = &hearing->lives[hearing->own + hearing->next_other++ % (LIVES_MAX - hearing->own)];
	*known = *told;
}

static bool is_known(struct hearing *hearing, const struct ledger_life *told)
{
	const struct ledger_life *known = find_life(hearing, told->id);

	return known && told->dealings <= known->dealings;
}

static struct expected *find_expected(struct hearing *hearing, const char *process)
{
	for (size_t i = 0; i < hearing->expected_len; i++)
		if (!strcmp(hearing->expected[i].process, process))
			return &hearing->expected[i];
	return NULL;
}

/* A beat of a process of its own boot; counts and last words say nothing of whom it has heard. */
static bool is_beat(const struct usage_report *report)
{
	return !report->seq && !report->final && !strcmp(report->boot, report->process);
}

static bool has_witness(const struct usage_report *report)
{
	return report->witness && *report->witness;
}

/* Others may have come that it has not heard of. */
static void note_lapse(struct hearing *hearing, const struct usage_report *report, int64_t now_ms)
{
	if (is_holding(hearing, now_ms) && is_beat(report) && !has_witness(report) &&
		find_expected(hearing, report->process))
		hearing->no_proof = true;
}

static bool is_news(struct hearing *hearing, const struct usage_report *report, enum hearing_state state,
	const char **ret_what)
{
	struct ledger_life told;

	if (state == HEARING_NEWER && !hearing->newer_state) {
		hearing->newer_state = true;
		*ret_what = "a newer state";
		return true;
	}
	if (!has_witness(report))
		return false;
	told = parse_witness(report->witness);
	if (is_known(hearing, &told))
		return false;
	note_life(hearing, &told);
	*ret_what = "grants of another life of the store, or later ones";
	return true;
}

bool hearing_check(struct hearing *hearing, const struct usage_report *report, enum hearing_state state,
	int64_t now_ms, int64_t grant_ms)
{
	const char *what;
	bool news;

	pthread_mutex_lock(&hearing->lock);
	note_lapse(hearing, report, now_ms);
	news = is_news(hearing, report, state, &what);
	if (news)
		lost(hearing, report, what, now_ms, grant_ms);
	pthread_mutex_unlock(&hearing->lock);
	return news;
}

bool hearing_told_more(
	struct hearing *hearing, const struct usage_report *report, int64_t now_ms, int64_t grant_ms)
{
	bool news;

	pthread_mutex_lock(&hearing->lock);
	news = !is_holding(hearing, now_ms);
	hearing->no_proof = true;
	if (news)
		lost(hearing, report, "more granted than is known", now_ms, grant_ms);
	pthread_mutex_unlock(&hearing->lock);
	return news;
}

/* Proof. */

static void note_heard(struct hearing *hearing, const struct usage_report *report)
{
	struct expected *expected = find_expected(hearing, report->process);

	if (!expected || expected->heard || !report->all || !is_beat(report))
		return;
	expected->heard = true;
	hearing->heard++;
}

bool hearing_heard(struct hearing *hearing, const struct usage_report *report, int64_t now_ms)
{
	bool proof = false;

	pthread_mutex_lock(&hearing->lock);
	if (is_holding(hearing, now_ms) && !hearing->no_proof) {
		note_heard(hearing, report);
		proof = hearing->heard && hearing->heard == hearing->expected_len;
		if (proof)
			deal(hearing, now_ms, "proof");
	}
	pthread_mutex_unlock(&hearing->lock);
	return proof;
}

bool hearing_is_due(struct hearing *hearing, int64_t now_ms, bool *ret_heard)
{
	bool due;

	pthread_mutex_lock(&hearing->lock);
	*ret_heard = !is_holding(hearing, now_ms);
	due = *ret_heard != hearing->stored;
	pthread_mutex_unlock(&hearing->lock);
	return due;
}

void hearing_stored(struct hearing *hearing, bool heard)
{
	pthread_mutex_lock(&hearing->lock);
	hearing->stored = heard;
	pthread_mutex_unlock(&hearing->lock);
}

void hearing_dealt(struct hearing *hearing, uint64_t dealings)
{
	pthread_mutex_lock(&hearing->lock);
	if (hearing->own)
		hearing->lives[hearing->own - 1].dealings = dealings;
	pthread_mutex_unlock(&hearing->lock);
}

/* Looking. */

int64_t hearing_hold_ms(struct hearing *hearing, int64_t now_ms)
{
	int64_t left;

	pthread_mutex_lock(&hearing->lock);
	left = is_holding(hearing, now_ms) ? hearing->until_ms - now_ms : 0;
	pthread_mutex_unlock(&hearing->lock);
	return left;
}

static const struct ledger_life *present(const struct hearing *hearing)
{
	return hearing->own ? &hearing->lives[hearing->own - 1] : NULL;
}

void hearing_id(struct hearing *hearing, char into[HEARING_ID_SIZE])
{
	const struct ledger_life *life;

	into[0] = '\0';
	pthread_mutex_lock(&hearing->lock);
	life = present(hearing);
	if (life)
		memcpy(into, life->id, sizeof(life->id));
	pthread_mutex_unlock(&hearing->lock);
}

void hearing_witness(struct hearing *hearing, char into[USAGE_WITNESS_MAX])
{
	const struct ledger_life *life;

	into[0] = '\0';
	pthread_mutex_lock(&hearing->lock);
	life = present(hearing);
	if (life)
		(void)snprintf(into, USAGE_WITNESS_MAX, "%s:%" PRIu64, life->id, life->dealings);
	pthread_mutex_unlock(&hearing->lock);
}

uint64_t hearing_echo(struct hearing *hearing, const char *witness)
{
	struct ledger_life told = parse_witness(witness ? witness : "");
	const struct ledger_life *life;
	uint64_t echo = 0;

	pthread_mutex_lock(&hearing->lock);
	life = present(hearing);
	if (life && !strcmp(life->id, told.id) && told.dealings <= life->dealings)
		echo = told.dealings + 1;
	pthread_mutex_unlock(&hearing->lock);
	return echo;
}

uint64_t hearing_dealings(struct hearing *hearing)
{
	const struct ledger_life *life;
	uint64_t dealings;

	pthread_mutex_lock(&hearing->lock);
	life = present(hearing);
	dealings = life ? life->dealings : 0;
	pthread_mutex_unlock(&hearing->lock);
	return dealings;
}
