/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_metrics - buckets at their borders, quantiles, the text format.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>

#include "common/metrics.h"

static void test_buckets(void **state)
{
	struct histogram h = { .count = 0 };

	(void)state;
	histogram_add(&h, 0);
	histogram_add(&h, 64);
	histogram_add(&h, 65);
	histogram_add(&h, UINT64_C(64) << 19);
	histogram_add(&h, (UINT64_C(64) << 19) + 1);
	histogram_add(&h, UINT64_C(1) << 40);
	assert_int_equal(h.buckets[0], 2);
	assert_int_equal(h.buckets[1], 1);
	assert_int_equal(h.buckets[19], 1);
	assert_int_equal(h.buckets[20], 2);
	assert_int_equal(h.count, 6);
}

static void test_quantiles_and_merge(void **state)
{
	struct histogram a = { .count = 0 }, b = { .count = 0 };

	(void)state;
	assert_int_equal(histogram_quantile(&a, 0.5), 0);
	for (int i = 0; i < 98; i++)
		histogram_add(&a, 100);
	histogram_add(&b, 1000);
	histogram_add(&b, 5000);
	histogram_merge(&a, &b);
	assert_int_equal(a.count, 100);
	assert_int_equal(a.sum_us, 98 * 100 + 6000);
	assert_int_equal(histogram_quantile(&a, 0), 128);
	assert_int_equal(histogram_quantile(&a, 0.5), 128);
	assert_int_equal(histogram_quantile(&a, 0.98), 128);
	assert_int_equal(histogram_quantile(&a, 0.99), 1024);
	assert_int_equal(histogram_quantile(&a, 1), 8192);
	assert_int_equal(histogram_quantile(&a, 7), 8192);
}

static void test_text(void **state)
{
	AUTO_FINI(buf) b = buf_limit(1000);

	(void)state;
	metrics_put(&b, "x_total", "counter", "Lines\nand \\.", "kind=\"a\"", 1);
	metrics_put(&b, "x_total", "counter", NULL, "kind=\"b\"", UINT64_MAX);
	metrics_put(&b, "y", "gauge", "Help.", "", 0);
	metrics_put(&b, "z", "gauge", NULL, NULL, 5);
	assert_string_equal(buf_text(&b),
		"# HELP x_total Lines\\nand \\\\.\n# TYPE x_total counter\nx_total{kind=\"a\"} 1\n"
		"x_total{kind=\"b\"} 18446744073709551615\n# HELP y Help.\n# TYPE y gauge\ny 0\nz 5\n");
}

static void test_histogram_text(void **state)
{
	AUTO_FINI(buf) b = buf_limit(10000), plain = buf_limit(10000);
	struct histogram h = { .count = 0 };

	(void)state;
	histogram_add(&h, 60);
	histogram_add(&h, 100);
	histogram_add(&h, 2000000000);
	metrics_put_histogram(&b, "d_seconds", "Time.", "op=\"get\"", &h);
	assert_true(str_starts(buf_str(&b), "# HELP d_seconds Time.\n# TYPE d_seconds histogram\n"
					    "d_seconds_bucket{op=\"get\",le=\"0.000064\"} 1\n"
					    "d_seconds_bucket{op=\"get\",le=\"0.000128\"} 2\n"));
	assert_true(str_ends(buf_str(&b),
		"d_seconds_bucket{op=\"get\",le=\"33.554432\"} 2\n"
		"d_seconds_bucket{op=\"get\",le=\"+Inf\"} 3\n"
		"d_seconds_sum{op=\"get\"} 2000.000160\nd_seconds_count{op=\"get\"} 3\n"));
	metrics_put_histogram(&plain, "d", NULL, "", &h);
	assert_true(str_starts(buf_str(&plain), "d_bucket{le=\"0.000064\"} 1\n"));
	assert_true(str_ends(buf_str(&plain), "d_sum 2000.000160\nd_count 3\n"));
}

static void test_seconds(void **state)
{
	AUTO_FINI(buf) b = buf_limit(1000);

	(void)state;
	metrics_put_seconds(&b, "t_seconds", "gauge", "Time.", "", 1500000);
	metrics_put_seconds(&b, "t_seconds", "gauge", NULL, "of=\"a\"", 64);
	assert_string_equal(buf_text(&b),
		"# HELP t_seconds Time.\n# TYPE t_seconds gauge\nt_seconds 1.500000\nt_seconds{of=\"a\"} "
		"0.000064\n");
}

static void test_process(void **state)
{
	struct process_stats before = process_stats(), after;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	after = process_stats();
	assert_int_equal(after.fds, before.fds + 1);
	assert_true(after.rss > 100000 && after.cpu_ms >= before.cpu_ms);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buckets),
		cmocka_unit_test(test_quantiles_and_merge),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_histogram_text),
		cmocka_unit_test(test_seconds),
		cmocka_unit_test(test_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
