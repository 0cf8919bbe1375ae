/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logins_queue - a line for each address that has something, and the lines in turn.
 */
#include <stdlib.h>

#include "common/check.h"
#include "common/logins_priv.h"
#include "common/map.h"

struct logins_line {
	struct ip network;
	struct logins_flight *first, **last;
	size_t len;
	struct logins_line *next;
};

static struct str name_of(const struct ip *network)
{
	return str_from(network->at, sizeof(network->at));
}

void logins_queue_init(struct logins_queue *queue)
{
	*queue = (struct logins_queue){ .lines = map_new() };
	queue->last = &queue->first;
}

void logins_queue_fini(struct logins_queue *queue)
{
	CHECK(!queue->len);
	map_free(queue->lines);
}

size_t logins_queue_of(const struct logins_queue *queue, const struct ip *network)
{
	const struct logins_line *line = map_find(queue->lines, name_of(network));

	return line ? line->len : 0;
}

static void append_line(struct logins_queue *queue, struct logins_line *line)
{
	line->next = NULL;
	*queue->last = line;
	queue->last = &line->next;
}

static void remove_line(struct logins_queue *queue, struct logins_line *line)
{
	struct logins_line **at = &queue->first;

	while (*at != line)
		at = &(*at)->next;
	*at = line->next;
	if (!line->next)
		queue->last = at;
}

static struct logins_line *line_of(struct logins_queue *queue, const struct ip *network)
{
	struct logins_line *line = map_find(queue->lines, name_of(network));

	if (line)
		return line;
	line = xnew(struct logins_line);
	line->network = *network;
	line->last = &line->first;
	(void)map_put(queue->lines, name_of(network), line);
	append_line(queue, line);
	return line;
}

void logins_queue_push(struct logins_queue *queue, struct logins_flight *flight)
{
	struct logins_line *line = line_of(queue, &flight->network);

	flight->queue = queue;
	flight->next = NULL;
	*line->last = flight;
	line->last = &flight->next;
	line->len++;
	queue->len++;
}

void logins_queue_remove(struct logins_flight *flight)
{
	struct logins_queue *queue = TAKE(flight->queue);
	struct logins_line *line = map_find(queue->lines, name_of(&flight->network));
	struct logins_flight **at = &line->first;

	while (*at != flight)
		at = &(*at)->next;
	*at = flight->next;
	if (!flight->next)
		line->last = at;
	line->len--;
	queue->len--;
	if (line->len)
		return;
	remove_line(queue, line);
	(void)map_delete(queue->lines, name_of(&line->network));
	free(line);
}

struct logins_flight *logins_queue_pop(struct logins_queue *queue)
{
	struct logins_line *line = queue->first;
	struct logins_flight *flight;

	if (!line)
		return NULL;
	flight = line->first;
	if (line->len > 1) {
		remove_line(queue, line);
		append_line(queue, line);
	}
	logins_queue_remove(flight);
	return flight;
}
