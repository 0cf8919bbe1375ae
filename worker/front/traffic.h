/* SPDX-License-Identifier: Apache-2.0 */
/*
 * traffic - what the requests of one loop were: by method and status, by operation, and the busiest repositories.
 *
 * Counts and histograms are plain members that only the loop writes; whoever writes the metrics reads them with single
 * loads. The repositories are a small table with a lock of its own, which nobody else takes but for a scrape.
 *
 * Names of repositories come from outside, so there are at most BUSY_ROWS of them for each loop, and only requests
 * that succeeded count. A row that others are busier than is given up: what it had counted goes to `others`,
 * so the sums never fall. (Each question for a repository without a row cools a row of its set; the coolest goes.)
 *
 * Thread  traffic_count: the loop; the rest: any.
 */
#pragma once

#include <pthread.h>

#include "common/http.h"
#include "common/metrics.h"
#include "worker/oci/oci_route.h"

#define TRAFFIC_METHODS    (HTTP_OTHER + 1)
#define TRAFFIC_OPERATIONS (OCI_OPERATIONS + 1) /* the last: what is none */
#define TRAFFIC_STATUS_0   100
#define TRAFFIC_STATUSES   500
#define TRAFFIC_LEFT       499 /* counts the clients that left before the reply */

#define BUSY_SETS 32
#define BUSY_WAYS 4
#define BUSY_ROWS (BUSY_SETS * BUSY_WAYS)

struct busy {
	char name[NAME_MAX_LEN + 1]; /* "": free */
	uint32_t heat;
	uint64_t requests, us, downloads, uploads;
};

struct traffic {
	counter statuses[TRAFFIC_METHODS][TRAFFIC_STATUSES];
	struct histogram methods[TRAFFIC_METHODS], operations[TRAFFIC_OPERATIONS];
	pthread_mutex_t lock; /* guards what follows */
	struct busy busy[BUSY_ROWS];
	struct busy others; /* of rows that were given up, and of repositories that never had one */
};

struct traffic_event {
	enum http_method method;
	unsigned status;    /* 0: no reply left us */
	unsigned operation; /* enum oci_operation, or OCI_OPERATIONS */
	uint64_t us;
	struct str repository; /* empty: none, or it did not succeed, or another worker counts it */
	bool download, upload;
};

void traffic_init(struct traffic *traffic);
void traffic_count(struct traffic *traffic, const struct traffic_event *event);
/* Adds the times of all requests. */
void traffic_latency(const struct traffic *traffic, struct histogram *into);
/* What one row, or what was given up, counted goes to another. */
void traffic_busy_add(struct busy *into, const struct busy *from);
/* The table as it is now, into room for BUSY_ROWS; how many rows there are. */
size_t traffic_busy(struct traffic *traffic, struct busy *into, struct busy *ret_others);
