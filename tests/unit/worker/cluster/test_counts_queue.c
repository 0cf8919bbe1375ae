/* SPDX-License-Identifier: Apache-2.0 */
/* counts_queue, usage_batch, journal: what was counted is said once, in reports that a leader takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "common/file.h"
#include "tests/unit/remove_tree.h"
#include "worker/cluster/counts_queue.h"
#include "worker/cluster/data_file.h"
#include "worker/cluster/journal.h"

#define DAY "2026-11-20"

static char folder[64], path[96];

static int start(void **state)
{
	(void)state;
	memcpy(folder, "/tmp/zot-jrnl-XXXXXX", 21);
	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/file", folder);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	return remove_tree(folder) ? 0 : -1;
}

static void count(struct usage_batch *batch, const char *key, const char *name, uint64_t bytes)
{
	struct usage_event event = { .apikey = key,
		.repository = str_of(name),
		.pull = true,
		.granted = bytes % 2,
		.bytes_out = bytes };

	usage_batch_count(batch, &event, DAY);
}

static void count_many(struct usage_batch *batch, const char *format, unsigned from, unsigned len)
{
	char key[300];

	for (unsigned i = from; i < from + len; i++) {
		(void)snprintf(key, sizeof(key), "%s-%u", format, i);
		count(batch, key, "", 1);
	}
}

static uint64_t calls_of(const struct usage_report *report)
{
	uint64_t calls = 0;

	for (size_t i = 0; i < report->rows_len; i++)
		calls += report->rows[i].calls;
	return calls;
}

static void batches_add_up(void **state)
{
	struct usage_batch one, two;
	struct usage_batch_at at = { 0 };
	struct usage_report report = { 0 };

	(void)state;
	usage_batch_init(&one, 1);
	usage_batch_init(&two, 1);
	for (unsigned i = 0; i < 10; i++)
		count(i % 2 ? &one : &two, "key", "a/b", i);
	count(&two, "other", "", 5);
	usage_batch_merge(&one, &two);
	assert_true(usage_batch_is_empty(&two));
	assert_true(usage_batch_chunk(&one, &at, &report));
	assert_int_equal(report.rows_len, 2);
	assert_int_equal(calls_of(&report), 11);
	assert_int_equal(report.rows[0].bytes_out + report.rows[1].bytes_out, 45 + 5);
	assert_int_equal(report.rows[0].ungranted + report.rows[1].ungranted, 5);
	assert_int_equal(report.repositories_len, 1);
	assert_int_equal(report.repositories[0].pulls, 10);
	usage_report_fini(&report);
	assert_false(usage_batch_chunk(&one, &at, &report));
	usage_batch_fini(&one);
	usage_batch_fini(&two);
}

/* [X4] Names of any length, in any number: each report is one that the leader's own parser takes. */
static void a_large_batch_becomes_pushes_that_are_taken(void **state)
{
	struct counts_queue queue;
	char name[256], text[600];
	uint64_t calls = 0, pulls = 0;

	(void)state;
	counts_queue_init(&queue, "w1", "b1");
	memset(name, '"', 245);
	name[245] = '\0';
	count_many(&queue.pending, name, 0, 1500);
	for (unsigned i = 0; i < 3000; i++) {
		(void)snprintf(text, sizeof(text), "repository/%u", i);
		count(&queue.pending, "key", text, 1);
	}
	counts_queue_freeze(&queue);
	assert_true(queue.len >= 5);
	for (size_t i = 0; i < queue.len; i++) {
		const struct usage_report *report = &queue.items[i]->report;
		AUTO_FINI(buf) body = buf_limit(4 * USAGE_BYTES_MAX);
		struct usage_report parsed;
		struct error err;

		usage_report_encode(report, &body);
		assert_true(usage_report_parse(buf_str(&body), &parsed, &err));
		assert_true(parsed.rows_len + parsed.repositories_len <= USAGE_CHUNK_ROWS);
		assert_int_equal(parsed.after, i ? queue.items[i - 1]->report.seq : 0);
		calls += calls_of(&parsed);
		for (size_t at = 0; at < parsed.repositories_len; at++)
			pulls += parsed.repositories[at].pulls;
		usage_report_fini(&parsed);
	}
	assert_int_equal(calls, 1500 + 3000);
	assert_int_equal(pulls, 3000);
	counts_queue_fini(&queue);
}

/* [X4] */
static void what_has_no_room_is_counted_under_one_name(void **state)
{
	struct usage_batch batch;
	struct usage_batch_at at = { 0 };
	struct usage_report report = { 0 };
	uint64_t calls = 0, others = 0, rows = 0;

	(void)state;
	usage_batch_init(&batch, 1);
	count_many(&batch, "key", 0, USAGE_BATCH_ROWS + 100);
	while (usage_batch_chunk(&batch, &at, &report)) {
		for (size_t i = 0; i < report.rows_len; i++)
			others += strcmp(report.rows[i].apikey, USAGE_OTHERS) ? 0 : report.rows[i].calls;
		calls += calls_of(&report);
		rows += report.rows_len;
		usage_report_fini(&report);
	}
	assert_int_equal(calls, USAGE_BATCH_ROWS + 100);
	assert_int_equal(others, 100);
	assert_int_equal(rows, USAGE_BATCH_ROWS + 1);
	usage_batch_fini(&batch);
}

static bool try_load(struct counts_queue *queue, struct str lines, struct error *err)
{
	counts_queue_init(queue, "w2", "b2");
	assert_true(file_write_durable(path, lines, 0600, err));
	return journal_load(path, queue, err);
}

static void load(struct counts_queue *queue, struct str lines)
{
	struct error err;

	assert_true(try_load(queue, lines, &err));
}

/* What waits is in the journal more than once over time: never twice under one seq, always after the same. */
static void what_waits_gets_a_new_seq_each_time_it_is_written(void **state)
{
	AUTO_FINI(buf) lines = buf_limit(65536);
	struct counts_queue queue, loaded;
	uint64_t last = 0;

	(void)state;
	counts_queue_init(&queue, "w1", "b1");
	for (unsigned i = 0; i < 3; i++) {
		count(&queue.pending, "key", "a", 1);
		assert_true(counts_queue_lines(&queue, &lines));
		load(&loaded, buf_str(&lines));
		assert_int_equal(loaded.len, 1);
		assert_int_equal(loaded.items[0]->report.after, 0);
		assert_true(loaded.items[0]->report.seq > last);
		assert_int_equal(calls_of(&loaded.items[0]->report), i + 1);
		assert_string_equal(loaded.items[0]->report.boot, "b1");
		assert_string_equal(loaded.items[0]->report.worker, "w1");
		last = loaded.items[0]->report.seq;
		counts_queue_fini(&loaded);
	}
	counts_queue_freeze(&queue);
	assert_true(queue.items[0]->report.seq > last);
	assert_int_equal(queue.items[0]->report.after, 0);
	last = queue.items[0]->report.seq;
	/* It was sent: what is counted now comes after it, and it stays as it is. */
	count(&queue.pending, "key", "a", 1);
	assert_true(counts_queue_lines(&queue, &lines));
	load(&loaded, buf_str(&lines));
	assert_int_equal(loaded.len, 2);
	assert_int_equal(loaded.items[0]->report.seq, last);
	assert_int_equal(calls_of(&loaded.items[0]->report), 3);
	assert_int_equal(loaded.items[1]->report.after, last);
	counts_queue_fini(&loaded);
	counts_queue_fini(&queue);
}

static void a_chunk_is_sent_once_the_journal_has_it(void **state)
{
	AUTO_FINI(buf) lines = buf_limit(65536);
	struct counts_queue queue;
	const struct usage_report *report;
	int64_t wait;

	(void)state;
	counts_queue_init(&queue, "w1", "b1");
	count(&queue.pending, "key", "a", 1);
	assert_true(counts_queue_lines(&queue, &lines));
	counts_queue_freeze(&queue);
	counts_queue_was_written(&queue); /* what was written did not have the chunk */
	report = counts_queue_next(&queue, 0, &wait);
	assert_false(counts_queue_is_written(&queue, report));
	assert_true(counts_queue_lines(&queue, &lines));
	counts_queue_was_written(&queue);
	assert_true(counts_queue_is_written(&queue, report));
	counts_queue_drop(&queue, report);
	assert_true(counts_queue_is_empty(&queue));
	counts_queue_fini(&queue);
}

static void a_boot_that_waits_does_not_hold_up_the_others(void **state)
{
	static const char lines[] = "{\"worker\":\"w\",\"boot\":\"old\",\"after\":0,\"seq\":1}\n"
				    "{\"worker\":\"w\",\"boot\":\"old\",\"after\":1,\"seq\":2}\n";
	struct counts_queue queue;
	const struct usage_report *report;
	int64_t wait;

	(void)state;
	load(&queue, STR(lines));
	count(&queue.pending, "key", "a", 1);
	counts_queue_freeze(&queue);
	report = counts_queue_next(&queue, 1000, &wait);
	assert_int_equal(report->seq, 1);
	counts_queue_postpone(&queue, report, 3000);
	report = counts_queue_next(&queue, 1000, &wait);
	assert_string_equal(report->boot, "b2");
	counts_queue_drop(&queue, report);
	assert_null(counts_queue_next(&queue, 1000, &wait));
	assert_int_equal(wait, 2000);
	assert_int_equal(counts_queue_next(&queue, 3000, &wait)->seq, 1);
	counts_queue_fini(&queue);
}

static void the_journal_comes_back_without_its_torn_lines(void **state)
{
	static const char lines[] = "{\"worker\":\"w\",\"boot\":\"b\",\"seq\":7,\"final\":true}\n"
				    "\n{\"worker\":\n"
				    "{\"worker\":\"w\",\"boot\":\"b\",\"after\":7,\"seq\":9}\n"
				    "{\"worker\":\"w\",\"bo";
	struct counts_queue queue;
	struct error err;

	(void)state;
	assert_false(try_load(&queue, STR(lines), &err));
	assert_non_null(strstr(err.text, "3 lines cannot be read, the first: "));
	assert_null(err.code);
	assert_int_equal(queue.len, 2);
	assert_int_equal(queue.items[0]->report.seq, 7);
	assert_true(queue.items[0]->report.final);
	/* Of an older format: it follows the one before. */
	assert_int_equal(queue.items[0]->report.after, 6);
	assert_int_equal(queue.items[1]->report.after, 7);
	assert_int_equal(queue.items[1]->report.seq, 9);
	counts_queue_fini(&queue);
}

static void a_journal_of_a_newer_version_is_refused_as_a_whole(void **state)
{
	static const char lines[] =
		"{\"journal\":2}\n{\"worker\":\"w\",\"boot\":\"b\",\"seq\":7,\"final\":true}\n";
	static const char ours[] = "{\"journal\":1}\n";
	struct counts_queue queue;
	struct error err;

	(void)state;
	assert_false(try_load(&queue, STR(lines), &err));
	assert_int_equal(queue.len, 0);
	assert_string_equal(err.code, DATA_FILE_NEWER);
	assert_non_null(strstr(err.text, path));
	assert_non_null(strstr(
		err.text, "of format 2, written by a newer zot-worker; this one (" ZOT_VERSION ") reads 1"));
	counts_queue_fini(&queue);
	assert_false(try_load(&queue, STR(ours), &err));
	assert_null(err.code);
	counts_queue_fini(&queue);
}

static void what_a_journal_has_no_room_for_is_told(void **state)
{
	AUTO_FINI(buf) lines = buf_limit(3000);
	struct counts_queue queue, loaded;

	(void)state;
	counts_queue_init(&queue, "w1", "b1");
	count_many(&queue.pending, "key", 0, 10);
	counts_queue_freeze(&queue);
	count_many(&queue.pending, "key", 0, 900);
	assert_false(counts_queue_lines(&queue, &lines));
	load(&loaded, buf_str(&lines));
	assert_int_equal(loaded.len, 1);
	assert_int_equal(calls_of(&loaded.items[0]->report), 10);
	counts_queue_fini(&loaded);
	counts_queue_fini(&queue);
}

static void what_is_refused_is_kept_within_a_bound(void **state)
{
	static char line[1024 * 1024];
	struct stat stat_of;
	struct error err;
	unsigned kept = 0;

	(void)state;
	memset(line, 'x', sizeof(line));
	while (kept < 100 && journal_refuse(path, str_from(line, sizeof(line)), &err))
		kept++;
	assert_int_equal(kept, 16);
	assert_int_equal(err.kind, ERROR_FULL);
	assert_int_equal(stat(path, &stat_of), 0);
	assert_int_equal(stat_of.st_mode & 0777, 0600);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batches_add_up),
		cmocka_unit_test(a_large_batch_becomes_pushes_that_are_taken),
		cmocka_unit_test(what_has_no_room_is_counted_under_one_name),
		cmocka_unit_test_setup_teardown(
			what_waits_gets_a_new_seq_each_time_it_is_written, start, stop),
		cmocka_unit_test(a_chunk_is_sent_once_the_journal_has_it),
		cmocka_unit_test_setup_teardown(a_boot_that_waits_does_not_hold_up_the_others, start, stop),
		cmocka_unit_test_setup_teardown(the_journal_comes_back_without_its_torn_lines, start, stop),
		cmocka_unit_test_setup_teardown(
			a_journal_of_a_newer_version_is_refused_as_a_whole, start, stop),
		cmocka_unit_test_setup_teardown(what_a_journal_has_no_room_for_is_told, start, stop),
		cmocka_unit_test_setup_teardown(what_is_refused_is_kept_within_a_bound, start, stop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
