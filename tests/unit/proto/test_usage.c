/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_usage - reports and answers survive the wire; what is wrong is named and nothing of it kept.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "common/json.h"
#include "proto/usage.h"

#define WHO "\"worker\":\"w1\",\"boot\":\"b1\""

static char worker[] = "w1", process[] = "p1", boot[] = "b1", url[] = "http://10.0.0.1:8080", zone[] = "a",
	    version[] = "1.2", draining[] = "draining", key_one[] = "zak_1", key_two[] = "zak_2",
	    repository[] = "team/app";

static struct usage_row rows[] = {
	{ .apikey = key_one, .day = "2026-11-20", .calls = 3, .bytes_in = 4, .bytes_out = 5, .ungranted = 2 },
	{ .apikey = key_two, .day = "2026-11-21", .calls = 6 },
};
static struct usage_repository repositories[] = {
	{ .name = repository, .pulls = 1, .pushes = 2, .bytes_in = 3, .bytes_out = 4 },
};
static struct usage_demand demands[] = {
	{ .apikey = key_one, .day = "2026-11-20", .granted = 6, .used = 7, .want = 8, .release = true },
};

static char complaints[] = "name: taken\nclock: late\n";

static struct usage_report sample(void)
{
	return (struct usage_report){ .worker = worker,
		.process = process,
		.boot = boot,
		.number = 12,
		.after = 7,
		.seq = 9,
		.final = true,
		.all = true,
		.url = url,
		.zone = zone,
		.version = version,
		.state = draining,
		.revision = 41,
		.state_digest = key_one,
		.state_age_ms = 1500,
		.secret = (UINT64_C(1) << 48) - 1,
		.complaints = complaints,
		.leader = zone,
		.witness = key_two,
		.rows = rows,
		.rows_len = 2,
		.repositories = repositories,
		.repositories_len = 1,
		.demands = demands,
		.demands_len = 1,
		.stats = { .rate = 12.5,
			.requests = 100,
			.p99_us = 2500,
			.spool_bytes = 1,
			.chores = 2,
			.chore = "fifteen letters",
			.chore_ms = 3,
			.weighed = true,
			.storage_bytes = 1ull << 50,
			.storage_repositories = 12,
			.counted = true,
			.storage_blobs = 9,
			.storage_manifests = 8,
			.storage_tags = 7 } };
}

static bool parses(const char *text, struct error *err)
{
	struct usage_report report;

	memset(err, 0, sizeof(*err));
	if (!usage_report_parse(str_of(text), &report, err))
		return false;
	usage_report_fini(&report);
	return true;
}

static void refused(const char *text, const char *says, const char *and_says)
{
	struct error err;

	if (parses(text, &err))
		fail_msg("taken: %s", text);
	if (!strstr(err.text, says) || !strstr(err.text, and_says))
		fail_msg("\"%s\" says neither \"%s\" nor \"%s\"", err.text, says, and_says);
}

static void a_push_survives(void **state)
{
	AUTO_FINI(buf) b = buf_limit(USAGE_BYTES_MAX);
	struct usage_report report = sample();
	AUTO_FINI(usage_report) got = { 0 };
	struct error err;

	(void)state;
	usage_report_encode(&report, &b);
	if (!usage_report_parse(buf_str(&b), &got, &err))
		fail_msg("%s", err.text);
	assert_string_equal(got.worker, "w1");
	assert_string_equal(got.process, "p1");
	assert_string_equal(got.boot, "b1");
	assert_string_equal(got.url, url);
	assert_string_equal(got.zone, "a");
	assert_string_equal(got.version, "1.2");
	assert_string_equal(got.state, "draining");
	assert_int_equal(got.number, 12);
	assert_int_equal(got.after, 7);
	assert_int_equal(got.seq, 9);
	assert_true(got.final && got.all);
	assert_string_equal(got.state_digest, "zak_1");
	assert_string_equal(got.complaints, complaints);
	assert_true(got.secret == (UINT64_C(1) << 48) - 1);
	assert_string_equal(got.leader, "a");
	assert_string_equal(got.witness, "zak_2");
	assert_int_equal(got.demands[0].granted, 6);
	assert_int_equal(got.revision, 41);
	assert_int_equal(got.state_age_ms, 1500);
	assert_int_equal(got.rows_len, 2);
	assert_string_equal(got.rows[0].apikey, "zak_1");
	assert_string_equal(got.rows[1].day, "2026-11-21");
	assert_int_equal(got.rows[0].bytes_out, 5);
	assert_int_equal(got.rows[0].ungranted, 2);
	assert_int_equal(got.repositories_len, 1);
	assert_string_equal(got.repositories[0].name, "team/app");
	assert_int_equal(got.repositories[0].pushes, 2);
	assert_int_equal(got.demands_len, 1);
	assert_int_equal(got.demands[0].used, 7);
	assert_true(got.demands[0].release);
	assert_true(got.stats.rate > 12.49 && got.stats.rate < 12.51);
	assert_int_equal(got.stats.p99_us, 2500);
	assert_int_equal(got.stats.spool_bytes, 1);
	assert_int_equal(got.stats.chores, 2);
	assert_string_equal(got.stats.chore, "fifteen letters");
	assert_int_equal(got.stats.chore_ms, 3);
	assert_int_equal(got.stats.chore_failures, 0);
	assert_true(got.stats.weighed);
	assert_int_equal(got.stats.storage_bytes, 1ull << 50);
	assert_int_equal(got.stats.storage_repositories, 12);
	assert_true(got.stats.counted);
	assert_int_equal(got.stats.storage_blobs, 9);
	assert_int_equal(got.stats.storage_manifests, 8);
	assert_int_equal(got.stats.storage_tags, 7);
}

static void an_answer_survives(void **state)
{
	struct usage_grant grants[] = {
		{ .apikey = key_one,
			.day = "2026-11-20",
			.granted = 10,
			.used = 9,
			.total = 20,
			.limit = 30,
			.recall = true },
	};
	struct usage_answer answer = { .seq = 9,
		.other_secret = true,
		.unsigned_members = &(struct usage_unsigned){ boot },
		.unsigned_members_len = 1,
		.number = 12,
		.leader = worker,
		.witness = key_two,
		.now_ms = 1700000000123,
		.grant_ms = 60000,
		.hold_ms = 5,
		.lease_ms = 6000,
		.push_every_ms = 2000,
		.ring_epoch = 3,
		.revision = 42,
		.grants = grants,
		.grants_len = 1 };
	AUTO_FINI(buf) b = buf_limit(USAGE_BYTES_MAX);
	AUTO_FINI(usage_answer) got = { 0 };

	(void)state;
	usage_answer_encode(&answer, &b);
	assert_true(usage_answer_parse(buf_str(&b), &got, NULL));
	assert_true(got.other_secret);
	assert_int_equal(got.unsigned_members_len, 1);
	assert_string_equal(got.unsigned_members[0].name, boot);
	assert_int_equal(got.seq, 9);
	assert_int_equal(got.number, 12);
	assert_string_equal(got.leader, "w1");
	assert_string_equal(got.witness, "zak_2");
	assert_int_equal(got.now_ms, 1700000000123);
	assert_int_equal(got.grant_ms, 60000);
	assert_int_equal(got.hold_ms, 5);
	assert_int_equal(got.grants[0].used, 9);
	assert_int_equal(got.lease_ms, 6000);
	assert_int_equal(got.push_every_ms, 2000);
	assert_int_equal(got.ring_epoch, 3);
	assert_int_equal(got.revision, 42);
	assert_int_equal(got.grants_len, 1);
	assert_int_equal(got.grants[0].granted, 10);
	assert_int_equal(got.grants[0].total, 20);
	assert_int_equal(got.grants[0].limit, 30);
	assert_true(got.grants[0].recall);
	assert_string_equal(got.grants[0].day, "2026-11-20");
}

static void missing_members_have_defaults(void **state)
{
	AUTO_FINI(usage_report) report = { 0 };
	AUTO_FINI(usage_answer) answer = { 0 };

	(void)state;
	assert_true(usage_report_parse(STR("{" WHO "}"), &report, NULL));
	assert_string_equal(report.state, "active");
	assert_string_equal(report.url, "");
	assert_int_equal(report.rows_len + report.seq + report.after, 0);
	assert_null(report.rows);
	assert_true(usage_answer_parse(STR("{}"), &answer, NULL));
	assert_int_equal(answer.grants_len, 0);
}

/* 0 of a boot that never reported is another thing than none. */
static void a_seq_without_after_follows_the_one_before(void **state)
{
	AUTO_FINI(usage_report) report = { 0 };
	AUTO_FINI(usage_report) said = { 0 };

	(void)state;
	assert_true(usage_report_parse(STR("{" WHO ", \"seq\": 5}"), &report, NULL));
	assert_int_equal(report.after, 4);
	assert_true(usage_report_parse(STR("{" WHO ", \"seq\": 5, \"after\": 0}"), &said, NULL));
	assert_int_equal(said.after, 0);
}

static void unknown_members_are_ignored(void **state)
{
	struct error err;

	(void)state;
	assert_true(parses(
		"{" WHO
		",\"future\":{\"x\":[1,2]},\"usage\":[{\"apikey\":\"a\",\"day\":\"2026-11-20\",\"new\":1}]}",
		&err));
}

static void wrong_types_are_refused(void **state)
{
	(void)state;
	refused("[]", "object", "");
	refused("{", "usage report", "");
	refused("{\"boot\":\"b\"}", "worker", "required");
	refused("{\"worker\":\"w\"}", "boot", "required");
	refused("{\"worker\":7,\"boot\":\"b\"}", "worker", "text");
	refused("{" WHO ",\"seq\":\"1\"}", "seq", "whole number");
	refused("{" WHO ",\"seq\":-1}", "seq", "negative");
	refused("{" WHO ",\"seq\":1.5}", "seq", "whole number");
	refused("{" WHO ",\"state_age_ms\":-1}", "state_age_ms", "negative");
	refused("{" WHO ",\"final\":1}", "final", "true or false");
	refused("{" WHO ",\"state\":\"lost\"}", "lost", "draining");
	refused("{" WHO ",\"usage\":{}}", "usage", "list");
	refused("{" WHO ",\"usage\":[7]}", "usage: [0]", "object");
	refused("{" WHO ",\"stats\":[]}", "stats", "object");
	refused("{" WHO ",\"stats\":{\"rate_milli\":true}}", "stats: rate_milli", "whole number");
	refused("{" WHO ",\"stats\":{\"chore\":7}}", "stats: chore", "text");
	refused("{" WHO ",\"stats\":{\"chore\":\"sixteen letters!\"}}", "stats: chore", "16 bytes");
	refused("{" WHO
		",\"demands\":[{\"apikey\":\"a\",\"day\":\"2026-11-20\"},{\"apikey\":\"b\",\"day\":\"x\"}]}",
		"demands: [1]", "day");
}

static void days_have_one_form(void **state)
{
	static const char *const bad[] = { "", "2026-11-2", "2026-11-201", "2026/11/20", "20261-1-20",
		"2026-1a-20", " 026-11-20" };
	char text[200];
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)snprintf(text, sizeof(text), "{" WHO ",\"usage\":[{\"apikey\":\"a\",\"day\":\"%s\"}]}",
			bad[i]);
		refused(text, "day", "2026-11-20");
	}
	refused("{" WHO ",\"usage\":[{\"apikey\":\"a\"}]}", "day", "");
	refused("{" WHO ",\"usage\":[{\"day\":\"2026-11-20\"}]}", "apikey", "required");
	assert_true(parses("{" WHO ",\"usage\":[{\"apikey\":\"a\",\"day\":\"2026-11-20\"}]}", &err));
}

static void rows_are_bounded_in_all(void **state)
{
	AUTO_FINI(buf) b = buf_limit(USAGE_BYTES_MAX);
	struct error err;

	(void)state;
	buf_puts(&b, "{" WHO ",\"usage\":[");
	for (unsigned i = 0; i < USAGE_ROWS_MAX / 2; i++)
		buf_puts(&b, i ? ",{\"apikey\":\"a\",\"day\":\"2026-11-20\"}"
			       : "{\"apikey\":\"a\",\"day\":\"2026-11-20\"}");
	buf_puts(&b, "],\"repositories\":[");
	for (unsigned i = 0; i < USAGE_ROWS_MAX / 2; i++)
		buf_puts(&b, i ? ",{\"name\":\"a\"}" : "{\"name\":\"a\"}");
	buf_puts(&b, "]}");
	assert_true(parses(buf_text(&b), &err));
	b.at[b.len - 1] = ',';
	buf_puts(&b, "\"demands\":[{\"apikey\":\"a\",\"day\":\"2026-11-20\"}]}");
	refused(buf_text(&b), "demands", "1000 rows");
	assert_false(parses(buf_text(&b), &err));
	assert_int_equal(err.kind, ERROR_TOO_LARGE);
}

static void texts_and_bytes_are_bounded(void **state)
{
	AUTO_FINI(buf) b = buf_limit(2 * USAGE_BYTES_MAX);
	struct error err;

	(void)state;
	buf_puts(&b, "{\"boot\":\"b\",\"worker\":\"");
	for (unsigned i = 0; i < 256; i++)
		buf_putc(&b, 'w');
	buf_puts(&b, "\"}");
	refused(buf_text(&b), "worker", "255");
	while (b.len <= USAGE_BYTES_MAX)
		buf_puts(&b, "                                                                ");
	assert_false(parses(buf_text(&b), &err));
	assert_int_equal(err.kind, ERROR_TOO_LARGE);
}

/* What one side may put into a message is never too large for the other, whatever the names are made of. */
static void what_may_be_put_in_fits(void **state)
{
	AUTO_FINI(buf) b = buf_limit(2 * USAGE_BYTES_MAX);
	char name[USAGE_NAME_MAX + 1] = "";
	struct usage_report report = sample();
	AUTO_FINI(usage_report) got = { 0 };
	size_t len = 0;

	(void)state;
	memset(name, 1, USAGE_NAME_MAX); /* six bytes each in JSON */
	struct usage_demand most[USAGE_CHUNK_ROWS];
	for (size_t bytes = 0; len < USAGE_CHUNK_ROWS && bytes < USAGE_CHUNK_BYTES; bytes += USAGE_NAME_MAX)
		most[len++] = (struct usage_demand){ .apikey = name,
			.day = "2026-11-20",
			.granted = INT64_MAX,
			.used = INT64_MAX,
			.want = INT64_MAX };
	for (; len < USAGE_CHUNK_ROWS; len++)
		most[len] = (struct usage_demand){ .apikey = key_one, .day = "2026-11-20" };
	report.worker = report.process = report.boot = report.url = report.zone = report.version = name;
	report.demands = most;
	report.demands_len = len;
	usage_report_encode(&report, &b);
	assert_false(b.failed);
	assert_true(b.len < USAGE_BYTES_MAX);
	assert_true(usage_report_parse(buf_str(&b), &got, NULL));
}

static void odd_numbers_are_clamped(void **state)
{
	AUTO_FINI(buf) b = buf_limit(USAGE_BYTES_MAX);
	struct usage_report report = sample();
	AUTO_FINI(usage_report) got = { 0 };

	(void)state;
	report.seq = UINT64_MAX;
	report.stats.rate = NAN;
	usage_report_encode(&report, &b);
	assert_true(usage_report_parse(buf_str(&b), &got, NULL));
	assert_true(got.seq == INT64_MAX);
	assert_true(got.stats.rate == 0);
}

static void every_truncation_is_refused(void **state)
{
	AUTO_FINI(buf) b = buf_limit(USAGE_BYTES_MAX);
	struct usage_report report = sample();
	struct usage_report got;

	(void)state;
	usage_report_encode(&report, &b);
	for (size_t len = 0; len < b.len; len++)
		assert_false(usage_report_parse(str_from(b.at, len), &got, NULL));
}

/* A leader or a worker of before reads "demands" and "grants", refuses what is no day there, and ignores "quotas". */
static void windows_that_others_do_not_know_are_in_a_list_of_their_own(void **state)
{
	static char user[] = "user:ann";
	static struct usage_demand all[] = {
		{ .apikey = key_one, .day = "2026-11", .granted = 1 },
		{ .apikey = key_one,
			.day = "2026-11-20",
			.granted = 2,
			.waits = 7,
			.needs = 5,
			.reserved = 3 },
		{ .apikey = user, .day = "2026-11-20", .granted = 3 },
		{ .apikey = key_two, .day = "second", .granted = 4 },
		{ .apikey = key_two, .day = "2026-11#bytes", .granted = 5 },
	};
	AUTO_FINI(buf) b = buf_limit(USAGE_BYTES_MAX);
	AUTO_FINI(usage_report) got = { 0 };
	AUTO(json_doc) *doc = NULL;
	struct usage_report report = sample();
	struct error err;

	(void)state;
	report.demands = all;
	report.demands_len = 5;
	usage_report_encode(&report, &b);
	assert_true(json_parse(buf_str(&b), &doc, &err));
	assert_int_equal(json_len(json_find(json_root(doc), "demands")), 1);
	assert_int_equal(json_len(json_find(json_root(doc), "quotas")), 4);
	assert_true(usage_report_parse(buf_str(&b), &got, &err));
	assert_int_equal(got.demands_len, 5);
	assert_int_equal(got.demands[0].granted, 2);
	assert_int_equal(got.demands[0].waits, 7);
	assert_int_equal(got.demands[0].needs, 5);
	assert_int_equal(got.demands[0].reserved, 3);
	assert_string_equal(got.demands[1].day, "2026-11");
	assert_string_equal(got.demands[2].apikey, "user:ann");
	assert_string_equal(got.demands[3].day, "second");
	assert_int_equal(got.demands[4].granted, 5);
}

static void an_answer_has_two_lists_too_and_says_that_it_deals(void **state)
{
	static char user[] = "user:ann";
	struct usage_grant grants[] = { { .apikey = user, .day = "2026-11", .granted = 1, .limit = 9 },
		{ .apikey = key_one, .day = "2026-11-20", .granted = 2, .coming = 6, .recall = true } };
	struct usage_answer answer = { .grants = grants, .grants_len = 2, .deals = true };
	AUTO_FINI(buf) b = buf_limit(USAGE_BYTES_MAX);
	AUTO_FINI(usage_answer) got = { 0 }, before = { 0 };
	struct error err;

	(void)state;
	usage_answer_encode(&answer, &b);
	assert_true(usage_answer_parse(buf_str(&b), &got, &err));
	assert_true(got.deals);
	assert_int_equal(got.grants_len, 2);
	assert_true(got.grants[0].recall);
	assert_int_equal(got.grants[0].coming, 6);
	assert_int_equal(got.grants[1].limit, 9);
	assert_true(usage_answer_parse(STR("{\"seq\":1,\"grants\":[]}"), &before, &err));
	assert_false(before.deals);
}

static void a_window_that_is_none_is_refused(void **state)
{
	(void)state;
	refused("{" WHO ",\"demands\":[{\"apikey\":\"k\",\"day\":\"2026-11-20\"}],\"quotas\":[{\"apikey\":"
		"\"k\",\"day\":\"2026\"}]}",
		"quotas", "must be a window");
	refused("{" WHO ",\"quotas\":[{\"apikey\":\"k\",\"day\":\"second\"},{\"day\":\"second\"}]}", "quotas",
		"[1]");
}

/* ---- chores ---- */

static char running[] = "running", done[] = "done", unit[] = "repositories", at[] = "team/app",
	    why[] = "no disk";

static struct usage_chore chores[] = {
	{ .name = "fold" },
	{ .name = "gc",
		.state = running,
		.can_dry_run = true,
		.order = 7,
		.run = { .unit = unit,
			.done = 3,
			.about = 10,
			.what = at,
			.at_s = 1700000000,
			.dry_run = true },
		.last = { .how = done, .removed = 4, .bytes = 5, .ms = 6, .error = why } },
};

static void chores_survive_and_cost_nothing_where_there_are_none(void **state)
{
	AUTO_FINI(buf) b = buf_limit(USAGE_BYTES_MAX);
	struct usage_report report = sample();
	AUTO_FINI(usage_report) got = { 0 };
	struct usage_chore copy;
	struct error err;

	(void)state;
	usage_report_encode(&report, &b);
	assert_null(strstr(buf_text(&b), "\"chores\":["));
	assert_null(strstr(buf_text(&b), "chores_whole"));
	buf_clear(&b);
	report.chores = chores;
	report.chores_len = 2;
	report.chores_whole = true;
	usage_report_encode(&report, &b);
	assert_non_null(strstr(buf_text(&b), "[{\"name\":\"fold\"},"));
	assert_true(usage_report_parse(buf_str(&b), &got, &err));
	assert_true(got.chores_whole);
	assert_int_equal(got.chores_len, 2);
	assert_string_equal(got.chores[0].name, "fold");
	assert_string_equal(got.chores[0].state, "idle");
	usage_chore_copy(&got.chores[1], &copy);
	assert_true(copy.can_dry_run && copy.run.dry_run && !copy.last.dry_run);
	assert_string_equal(copy.state, "running");
	assert_string_equal(copy.run.what, "team/app");
	assert_int_equal(copy.run.about, 10);
	assert_string_equal(copy.last.how, "done");
	assert_int_equal(copy.last.bytes, 5);
	assert_string_equal(copy.last.error, "no disk");
	usage_chore_fini(&copy);
}

static void chores_are_bounded(void **state)
{
	AUTO_FINI(buf) b = buf_limit(USAGE_BYTES_MAX);
	AUTO_FINI(usage_report) got = { 0 };
	struct error err;

	(void)state;
	buf_puts(&b, "{" WHO ",\"chores\":[{\"name\":\"a\"}");
	for (unsigned i = 1; i < 200; i++)
		buf_puts(&b, ",{\"name\":\"a\"}");
	buf_puts(&b, "]}");
	assert_true(usage_report_parse(buf_str(&b), &got, &err));
	assert_int_equal(got.chores_len, USAGE_CHORES_MAX);
	refused("{" WHO ",\"chores\":[{\"name\":\"a name that is too long\"}]}", "chores", "name");
	refused("{" WHO ",\"chores\":[{\"state\":\"odd\"}]}", "chores", "state");
	refused("{" WHO ",\"chores\":[{\"run\":{\"done\":-1}}]}", "chores", "done");
}

static void orders_survive(void **state)
{
	struct usage_order orders[] = { { .id = 9, .chore = "gc", .dry_run = true },
		{ .id = 10, .chore = "fold", .stop = true } };
	struct usage_answer answer = { .tell_chores = true, .orders = orders, .orders_len = 2 };
	AUTO_FINI(buf) b = buf_limit(USAGE_BYTES_MAX);
	AUTO_FINI(usage_answer) got = { 0 };
	struct error err;

	(void)state;
	usage_answer_encode(&answer, &b);
	assert_true(usage_answer_parse(buf_str(&b), &got, &err));
	assert_true(got.tell_chores);
	assert_int_equal(got.orders_len, 2);
	assert_true(got.orders[0].dry_run && !got.orders[0].stop && got.orders[1].stop);
	assert_int_equal(got.orders[1].id, 10);
	assert_string_equal(got.orders[0].chore, "gc");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_push_survives),
		cmocka_unit_test(an_answer_survives),
		cmocka_unit_test(missing_members_have_defaults),
		cmocka_unit_test(a_seq_without_after_follows_the_one_before),
		cmocka_unit_test(unknown_members_are_ignored),
		cmocka_unit_test(wrong_types_are_refused),
		cmocka_unit_test(days_have_one_form),
		cmocka_unit_test(rows_are_bounded_in_all),
		cmocka_unit_test(what_may_be_put_in_fits),
		cmocka_unit_test(texts_and_bytes_are_bounded),
		cmocka_unit_test(odd_numbers_are_clamped),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(windows_that_others_do_not_know_are_in_a_list_of_their_own),
		cmocka_unit_test(an_answer_has_two_lists_too_and_says_that_it_deals),
		cmocka_unit_test(a_window_that_is_none_is_refused),
		cmocka_unit_test(chores_survive_and_cost_nothing_where_there_are_none),
		cmocka_unit_test(chores_are_bounded),
		cmocka_unit_test(orders_survive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
