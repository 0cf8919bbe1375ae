/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/front/traffic.h"

#include <string.h>

#include "common/check.h"
#include "common/map.h"

#define HEAT_MOST 1000000u

void traffic_init(struct traffic *traffic)
{
	CHECK(pthread_mutex_init(&traffic->lock, NULL) == 0);
}

static void add(struct busy *into, const struct traffic_event *event)
{
	into->requests++;
	into->us += event->us;
	into->downloads += event->download;
	into->uploads += event->upload;
}

void traffic_busy_add(struct busy *into, const struct busy *from)
{
	into->requests += from->requests;
	into->us += from->us;
	into->downloads += from->downloads;
	into->uploads += from->uploads;
}

static void give_up(struct busy *row, struct busy *others)
{
	traffic_busy_add(others, row);
	*row = (struct busy){ 0 };
}

/* The row of this repository; a free one; else the coolest, which goes once it is cold. NULL: none this time.
 */
static struct busy *row_for(struct traffic *traffic, struct str name)
{
	struct busy *set = &traffic->busy[map_hash(name.at, name.len) % BUSY_SETS * BUSY_WAYS],
		    *coolest = set;

	for (size_t i = 0; i < BUSY_WAYS; i++) {
		if (str_is(name, set[i].name))
			return &set[i];
		if (set[i].heat < coolest->heat)
			coolest = &set[i];
	}
	if (coolest->heat) {
		coolest->heat--;
		return NULL;
	}
	give_up(coolest, &traffic->others);
	CHECK(str_copy(name, coolest->name, sizeof(coolest->name)));
	return coolest;
}

static void count_repository(struct traffic *traffic, const struct traffic_event *event)
{
	struct busy *row;

	(void)pthread_mutex_lock(&traffic->lock);
	row = row_for(traffic, event->repository);
	add(row ? row : &traffic->others, event);
	if (row && row->heat < HEAT_MOST)
		row->heat++;
	(void)pthread_mutex_unlock(&traffic->lock);
}

void traffic_count(struct traffic *traffic, const struct traffic_event *event)
{
	unsigned status = event->status ? event->status : TRAFFIC_LEFT;

	CHECK(event->method < TRAFFIC_METHODS && event->operation < TRAFFIC_OPERATIONS);
	if (status >= TRAFFIC_STATUS_0 && status - TRAFFIC_STATUS_0 < TRAFFIC_STATUSES)
		counter_add(&traffic->statuses[event->method][status - TRAFFIC_STATUS_0], 1);
	histogram_add(&traffic->methods[event->method], event->us);
	histogram_add(&traffic->operations[event->operation], event->us);
	if (event->repository.len)
		count_repository(traffic, event);
}

void traffic_latency(const struct traffic *traffic, struct histogram *into)
{
	for (unsigned i = 0; i < TRAFFIC_METHODS; i++)
		histogram_merge(into, &traffic->methods[i]);
}

size_t traffic_busy(struct traffic *traffic, struct busy *into, struct busy *ret_others)
{
	size_t len = 0;

	(void)pthread_mutex_lock(&traffic->lock);
	for (size_t i = 0; i < BUSY_ROWS; i++)
		if (traffic->busy[i].name[0])
			into[len++] = traffic->busy[i];
	*ret_others = traffic->others;
	(void)pthread_mutex_unlock(&traffic->lock);
	return len;
}
