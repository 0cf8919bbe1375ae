/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/front/traffic_metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/check.h"
#include "common/map.h"
#include "worker/chores/weigh_chore.h"
#include "worker/front/front.h"

#define LABELS_MAX (NAME_MAX_LEN + 64)

static void put_statuses(const struct front *front, struct buf *into)
{
	const char *help = "Requests that were answered; code 499: the client left before.";
	char labels[LABELS_MAX];

	for (unsigned method = 0; method < TRAFFIC_METHODS; method++)
		for (unsigned status = 0; status < TRAFFIC_STATUSES; status++) {
			uint64_t sum = 0;

			for (unsigned i = 0; i < front->loops_len; i++)
				sum += counter_get(&front->loops[i].traffic.statuses[method][status]);
			/* Those of a GET that went well are there from the start on: a rate needs a
			 * beginning. */
			if (!sum && (method != HTTP_GET || status + TRAFFIC_STATUS_0 != 200))
				continue;
			(void)snprintf(labels, sizeof(labels), "method=\"%s\",code=\"%u\"",
				http_method_name((enum http_method)method), status + TRAFFIC_STATUS_0);
			metrics_put(into, "zot_http_requests_total", "counter", help, labels, sum);
			help = NULL;
		}
}

static void put_methods(const struct front *front, struct buf *into)
{
	const char *help = "Time from a request's head to the last byte of its reply, by method.";

	for (unsigned method = 0; method < TRAFFIC_METHODS; method++) {
		struct histogram all = { 0 };
		char labels[LABELS_MAX];

		for (unsigned i = 0; i < front->loops_len; i++)
			histogram_merge(&all, &front->loops[i].traffic.methods[method]);
		if (!all.count && method != HTTP_GET)
			continue;
		(void)snprintf(
			labels, sizeof(labels), "method=\"%s\"", http_method_name((enum http_method)method));
		metrics_put_histogram(into, "zot_http_method_latency_seconds", help, labels, &all);
		help = NULL;
	}
}

static void put_operations(const struct front *front, struct buf *into)
{
	const char *help = "Time from a request's head to the last byte of its reply, by operation of the "
			   "registry's API.";

	for (unsigned operation = 0; operation < TRAFFIC_OPERATIONS; operation++) {
		struct histogram all = { 0 };
		char labels[LABELS_MAX];

		for (unsigned i = 0; i < front->loops_len; i++)
			histogram_merge(&all, &front->loops[i].traffic.operations[operation]);
		(void)snprintf(labels, sizeof(labels), "operation=\"%s\"",
			operation == OCI_OPERATIONS ? "other" : oci_routes.rows[operation].operation);
		if (!all.count && operation != OCI_OPERATIONS)
			continue;
		metrics_put_histogram(into, "zot_http_operation_latency_seconds", help, labels, &all);
		help = NULL;
	}
}

/* Repositories. */

struct rows {
	struct busy *at;
	size_t len;
	struct map *by_name;
	struct busy others;
};

static void gather(struct front *front, struct rows *rows)
{
	rows->at = xnew_array(struct busy, (size_t)front->loops_len * BUSY_ROWS + 1);
	rows->by_name = map_new();
	for (unsigned i = 0; i < front->loops_len; i++) {
		struct busy *next = &rows->at[rows->len], others;
		size_t len = traffic_busy(&front->loops[i].traffic, next, &others);

		traffic_busy_add(&rows->others, &others);
		for (size_t j = 0; j < len; j++) {
			struct busy *there = map_find(rows->by_name, str_of(next[j].name)), row = next[j];

			if (there) {
				traffic_busy_add(there, &row);
				continue;
			}
			rows->at[rows->len] = row;
			(void)map_put(rows->by_name, str_of(row.name), &rows->at[rows->len++]);
		}
	}
	map_free(rows->by_name);
	(void)snprintf(rows->others.name, sizeof(rows->others.name), TRAFFIC_OTHERS);
	rows->at[rows->len++] = rows->others;
}

static void put_counts(
	const struct rows *rows, const char *name, const char *help, size_t offset, struct buf *into)
{
	for (size_t i = 0; i < rows->len; i++, help = NULL) {
		char labels[LABELS_MAX];
		uint64_t value;

		memcpy(&value, (const char *)&rows->at[i] + offset, sizeof(value));
		(void)snprintf(labels, sizeof(labels), "repo=\"%s\"", rows->at[i].name);
		metrics_put(into, name, "counter", help, labels, value);
	}
}

static void put_latencies(const struct rows *rows, struct buf *into)
{
	static const char name[] = "zot_http_repo_latency_seconds";

	buf_format(into,
		"# HELP %s Time that requests for the busiest repositories took.\n# TYPE %s summary\n", name,
		name);
	for (size_t i = 0; i < rows->len; i++) {
		const struct busy *row = &rows->at[i];

		buf_format(into, "%s_sum{repo=\"%s\"} %" PRIu64 ".%06" PRIu64 "\n", name, row->name,
			row->us / 1000000, row->us % 1000000);
		buf_format(into, "%s_count{repo=\"%s\"} %" PRIu64 "\n", name, row->name, row->requests);
	}
}

static void put_weighed(struct weigh_chore *weigh, const struct rows *rows, const char *name,
	const char *help, size_t offset, struct buf *into)
{
	for (size_t i = 0; i < rows->len; i++) {
		char labels[LABELS_MAX];
		struct weigh_row row;
		uint64_t value;

		if (!weigh_find(weigh, str_of(rows->at[i].name), &row))
			continue;
		memcpy(&value, (const char *)&row + offset, sizeof(value));
		(void)snprintf(labels, sizeof(labels), "repo=\"%s\"", rows->at[i].name);
		metrics_put(into, name, "gauge", help, labels, value);
		help = NULL;
	}
}

/* Of those that this worker owns. */
static void put_contents(struct weigh_chore *weigh, const struct rows *rows, struct buf *into)
{
	put_weighed(weigh, rows, "zot_repo_storage_bytes",
		"Bytes that the busiest repositories have in the storage.", offsetof(struct weigh_row, bytes),
		into);
	put_weighed(weigh, rows, "zot_repo_blobs", "Blobs of these, manifests too.",
		offsetof(struct weigh_row, blobs), into);
	put_weighed(weigh, rows, "zot_repo_manifests", "Manifests of these.",
		offsetof(struct weigh_row, manifests), into);
	put_weighed(weigh, rows, "zot_repo_tags", "Tags of these.", offsetof(struct weigh_row, tags), into);
}

void traffic_metrics(struct front *front, struct buf *into)
{
	struct rows rows = { 0 };

	put_statuses(front, into);
	put_methods(front, into);
	put_operations(front, into);
	gather(front, &rows);
	put_latencies(&rows, into);
	put_counts(&rows, "zot_repo_downloads_total",
		"Manifests that were read (GET and HEAD), by repository.", offsetof(struct busy, downloads),
		into);
	put_counts(&rows, "zot_repo_uploads_total", "Manifests that were written, by repository.",
		offsetof(struct busy, uploads), into);
	put_contents(front->weigh, &rows, into);
	free(rows.at);
}
