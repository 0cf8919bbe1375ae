/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/live_frame.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/map.h"
#include "leader/figures.h"
#include "leader/leader.h"
#include "leader/members.h"
#include "leader/nearest.h"
#include "leader/shares.h"
#include "leader/state_log.h"

#define FRAME_MAX ((size_t)32 * 1024 * 1024)

/* A row that was told. */
struct told {
	uint64_t stamp, round;
};

struct live_news {
	struct leader *leader;
	struct map *told; /* name -> struct told */
	uint64_t round, revision, ring_revision, quotas;
};

struct live_frame *live_frame_ref(struct live_frame *frame)
{
	frame->refs++;
	return frame;
}

void live_frame_free(struct live_frame *frame)
{
	if (!frame || --frame->refs)
		return;
	buf_fini(&frame->text);
	free(frame);
}

struct live_news *live_news_new(struct leader *leader)
{
	struct live_news *news = xnew(struct live_news);

	news->leader = leader;
	news->told = map_new();
	return news;
}

void live_news_free(struct live_news *news)
{
	void *told;

	if (!news)
		return;
	for (size_t at = 0; map_next(news->told, &at, NULL, &told);)
		free(told);
	map_free(news->told);
	free(news);
}

/* Events. */

static struct json_writer begin_event(struct buf *into, const char *name)
{
	buf_format(into, "event: %s\ndata: ", name);
	return json_writer(into);
}

static void end_event(struct buf *into)
{
	buf_puts(into, "\n\n");
}

static void put_cluster(struct leader *leader, struct buf *into)
{
	struct json_writer w = begin_event(into, "cluster");

	figures_write_now(leader->figures, &w);
	end_event(into);
}

static void put_ring(struct leader *leader, const struct state *state, struct buf *into)
{
	struct json_writer w = begin_event(into, "ring");

	shares_write(leader->shares, state, &w);
	end_event(into);
}

static void put_quotas(struct leader *leader, const struct state *state, struct buf *into)
{
	struct json_writer w = begin_event(into, "quotas");

	json_open_object(&w);
	json_key(&w, STR("quotas"));
	nearest_write(leader->nearest, state, &w);
	json_close_object(&w);
	end_event(into);
}

/* kinds 0: more than is known. */
static void put_changed(uint64_t revision, unsigned kinds, struct buf *into)
{
	struct json_writer w = begin_event(into, "changed");

	json_open_object(&w);
	json_put_uint(&w, "revision", revision);
	json_key(&w, STR("kinds"));
	json_open_array(&w);
	for (unsigned kind = 0; kind < ENTITY_KINDS; kind++)
		if (kinds & 1u << kind)
			json_value_str(&w, str_of(entity_kind_name((enum entity_kind)kind)));
	json_close_array(&w);
	json_close_object(&w);
	end_event(into);
}

static struct members_rows rows_of(struct leader *leader, const struct state *state)
{
	return (struct members_rows){
		.now_ms = clock_ms(), .lease_ms = leader_cluster(leader).lease_ms, .state = state
	};
}

static bool is_new(void *arg, const char *name, uint64_t stamp)
{
	struct live_news *news = arg;
	struct told *told = map_find(news->told, str_of(name));
	bool is = !told || told->stamp != stamp;

	if (!told) {
		told = xnew(struct told);
		(void)map_put(news->told, str_of(name), told);
	}
	*told = (struct told){ .stamp = stamp, .round = news->round };
	return is;
}

static void put_gone(struct live_news *news, struct json_writer *w)
{
	struct str name;
	void *each;

	json_key(w, STR("gone"));
	json_open_array(w);
	for (size_t at = 0; map_next(news->told, &at, &name, &each);) {
		struct told *told = each;
		if (told->round == news->round)
			continue;
		json_value_str(w, name);
		(void)map_delete(news->told, name);
		free(told);
	}
	json_close_array(w);
}

static void put_members(
	struct leader *leader, const struct members_rows *rows, struct live_news *news, struct buf *into)
{
	struct json_writer w = begin_event(into, "members");

	json_open_object(&w);
	json_key(&w, STR("changed"));
	members_write(leader->members, rows, &w);
	if (news)
		put_gone(news, &w);
	json_close_object(&w);
	end_event(into);
}

/* Frames. */

static uint64_t ring_revision(const struct state *state)
{
	struct entity *ring = state_find(state, ENTITY_RING, STR("ring"));

	return ring ? entity_revision(ring) : 0;
}

static struct live_frame *frame_new(void)
{
	struct live_frame *frame = xnew(struct live_frame);

	frame->refs = 1;
	frame->text = buf_limit(FRAME_MAX);
	return frame;
}

static struct live_frame *whole(struct live_frame *frame)
{
	if (!frame->text.failed)
		return frame;
	live_frame_free(frame);
	return NULL;
}

static struct live_frame *make_new(struct live_news *news, const struct state *state)
{
	struct leader *leader = news->leader;
	struct live_frame *frame = frame_new();
	struct members_rows rows = rows_of(leader, state);
	uint64_t quotas = nearest_stamp(leader->nearest);
	unsigned kinds;

	rows.wants = is_new;
	rows.arg = news;
	news->round++;
	put_cluster(leader, &frame->text);
	put_members(leader, &rows, news, &frame->text);
	if (state_revision(state) != news->revision) {
		if (!state_log_kinds(leader->log, news->revision, &kinds))
			kinds = 0;
		put_changed(state_revision(state), kinds, &frame->text);
	}
	if (ring_revision(state) != news->ring_revision)
		put_ring(leader, state, &frame->text);
	if (quotas != news->quotas)
		put_quotas(leader, state, &frame->text);
	news->quotas = quotas;
	news->revision = state_revision(state);
	news->ring_revision = ring_revision(state);
	return whole(frame);
}

static struct live_frame *make_all(struct leader *leader, const struct state *state)
{
	struct live_frame *frame = frame_new();
	struct members_rows rows = rows_of(leader, state);

	put_cluster(leader, &frame->text);
	put_members(leader, &rows, NULL, &frame->text);
	put_changed(state_revision(state), 0, &frame->text);
	put_ring(leader, state, &frame->text);
	put_quotas(leader, state, &frame->text);
	return whole(frame);
}

void live_news_make(struct live_news *news, struct live_frame **ret_new, struct live_frame **all)
{
	AUTO(state) *state = leader_state(news->leader);

	*ret_new = make_new(news, state);
	if (all)
		*all = make_all(news->leader, state);
}
