/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search_others - a question is known by its bytes: run again, a request asks the same ones, and finds their answers.
 */
#include "worker/search/search_others.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/json.h"
#include "common/least.h"
#include "worker/search/search_gather.h"
#include "worker/search/search_wire.h"

#define ALL        RING_NOBODY /* whom a question is for */
#define ASKED_MOST (4 * SEARCH_QUESTIONS_MAX)
/* Bytes of one member's answer: of a page, by its rows; of all there is. */
#define ROW_BYTES   ((size_t)32 * 1024)
#define PAGE_LEAST  ((size_t)256 * 1024)
#define IMAGE_BYTES ((size_t)4 * 1024 * 1024)
#define ANSWER_MAX  ((size_t)8 * 1024 * 1024)
#define ANSWERS_MAX ((size_t)128 * 1024 * 1024) /* of all members of a cluster, each the same */
#define NAMED_MOST  8u
#define NAMES_MAX   (NAMED_MOST * (RING_MEMBER_ID_MAX + 8u) * 6)

struct asked {
	char *bytes;
	size_t len;
	int target;
	size_t most;       /* bytes of a member's answer */
	bool ended;        /* it was asked */
	struct str *parts; /* of each member; at NULL: none came */
};

struct member {
	bool missing, partial;
	bool garbled; /* and nobody was told yet */
};

struct search_others {
	struct search_cluster cluster;
	size_t members_len;
	struct member *members;
	struct asked asked[ASKED_MOST];
	size_t asked_len;
	char **bodies; /* that parts point into */
	size_t bodies_len;
};

struct search_others *search_others_new(const struct search_cluster *cluster)
{
	struct search_others *others = xnew(struct search_others);

	others->cluster = *cluster;
	others->cluster.ring = ring_ref(cluster->ring);
	others->members_len = ring_len(cluster->ring);
	others->members = xnew_array(struct member, others->members_len + 1);
	others->bodies = xnew_array(char *, ASKED_MOST *(others->members_len + 1));
	return others;
}

void search_others_free(struct search_others *others)
{
	if (!others)
		return;
	for (size_t i = 0; i < others->asked_len; i++) {
		free(others->asked[i].bytes);
		free(others->asked[i].parts);
	}
	for (size_t i = 0; i < others->bodies_len; i++)
		free(others->bodies[i]);
	free(others->bodies);
	free(others->members);
	ring_free(others->cluster.ring);
	free(others);
}

bool search_others_were_asked(const struct search_others *others)
{
	return others->asked_len && others->asked[0].ended;
}

/* ---- a round ---- */

/* Who owns nothing has nothing to tell, unless it holds what its owner has not taken yet. */
static bool is_for(const struct search_others *others, const struct asked *asked, size_t place)
{
	if ((int)place == others->cluster.self)
		return false;
	if (asked->target != ALL)
		return asked->target == (int)place;
	return others->cluster.isolated || ring_at(others->cluster.ring, place)->active;
}

static bool is_asked(const struct search_others *others, const struct asked *asked, size_t place)
{
	return !asked->ended && !others->members[place].missing && is_for(others, asked, place);
}

size_t search_others_answer_max(const struct search_others *others, size_t place)
{
	size_t bytes = 0;

	for (size_t i = 0; i < others->asked_len; i++)
		if (is_asked(others, &others->asked[i], place))
			bytes += others->asked[i].most;
	return least(least(bytes, ANSWER_MAX), most(PAGE_LEAST, ANSWERS_MAX / others->members_len));
}

bool search_others_ask(const struct search_others *others, size_t place, struct buf *into)
{
	struct search_wire_head head = { .ring = others->cluster.isolated ? 0 : others->cluster.mark,
		.most = search_others_answer_max(others, place) };

	for (size_t i = 0; i < others->asked_len; i++)
		if (is_asked(others, &others->asked[i], place))
			head.parts[head.len++] = str_from(others->asked[i].bytes, others->asked[i].len);
	if (head.len)
		search_wire_put_ask(&head, into);
	return head.len > 0;
}

static size_t count_asked(const struct search_others *others, size_t place)
{
	size_t n = 0;

	for (size_t i = 0; i < others->asked_len; i++)
		n += is_asked(others, &others->asked[i], place);
	return n;
}

void search_others_miss(struct search_others *others, size_t place)
{
	others->members[place].missing = true;
}

bool search_others_answer(
	struct search_others *others, size_t place, char *bytes, size_t len, struct error *err)
{
	struct search_wire_head head;
	size_t at = 0;

	others->bodies[others->bodies_len++] = bytes;
	if (!search_wire_get_answer(str_from(bytes, len), &head, err) ||
		(head.len != count_asked(others, place) &&
			!error_set(err, ERROR_INVALID, NULL, "it answered another number of questions"))) {
		search_others_miss(others, place);
		return false;
	}
	for (size_t i = 0; i < others->asked_len; i++)
		if (is_asked(others, &others->asked[i], place))
			others->asked[i].parts[place] = head.parts[at++];
	others->members[place].partial |= !head.whole;
	return true;
}

bool search_others_garbled(struct search_others *others, size_t place)
{
	bool garbled = others->members[place].garbled;

	others->members[place].garbled = false;
	return garbled;
}

void search_others_end(struct search_others *others)
{
	for (size_t i = 0; i < others->asked_len; i++)
		others->asked[i].ended = true;
}

/* ---- a question ---- */

static struct asked *find(struct search_others *others, struct str bytes, int target)
{
	for (size_t i = 0; i < others->asked_len; i++)
		if (others->asked[i].target == target &&
			str_equal(str_from(others->asked[i].bytes, others->asked[i].len), bytes))
			return &others->asked[i];
	return NULL;
}

/* NULL: too many. */
static struct asked *add(struct search_others *others, struct str bytes, int target, size_t most_bytes)
{
	struct asked *asked = &others->asked[others->asked_len];

	if (others->asked_len == ASKED_MOST)
		return NULL;
	others->asked_len++;
	*asked = (struct asked){ .bytes = check_strndup(bytes.at, bytes.len),
		.len = bytes.len,
		.target = target,
		.most = most_bytes,
		.parts = xnew_array(struct str, others->members_len + 1) };
	return asked;
}

/* ---- what came ---- */

/* One member's records, and whose they are. */
struct part {
	int place;
	struct search_records records;
};
struct parts {
	struct part *at;
	size_t len;
	bool said; /* a member said why it has nothing: err */
	struct error err;
};

static void put_name(struct buf *names, struct buf *json, unsigned n, const char *id)
{
	struct json_writer w = json_writer(json);

	if (n > NAMED_MOST)
		return;
	if (n > 1) {
		buf_puts(names, ", ");
		buf_putc(json, ',');
	}
	buf_puts(names, id);
	json_value_str(&w, str_of(id));
}

void search_missing_fini(struct search_missing *missing)
{
	buf_fini(&missing->names);
	buf_fini(&missing->json);
	buf_fini(&missing->partial_names);
	buf_fini(&missing->partial_json);
}

static void tell_missing(struct search_others *others, struct search_missing *missing, int place)
{
	put_name(&missing->names, &missing->json, ++missing->len,
		ring_at(others->cluster.ring, (size_t)place)->id);
}

static void tell_partial(struct search_others *others, struct search_missing *missing, int place)
{
	put_name(&missing->partial_names, &missing->partial_json, ++missing->partial,
		ring_at(others->cluster.ring, (size_t)place)->id);
}

/* What a member cannot do just now is as if it had not answered; what it refuses is the answer. */
static bool is_away(const struct error *err)
{
	return err->kind == ERROR_UNAVAILABLE || err->kind == ERROR_BUSY || err->kind == ERROR_TIMEOUT ||
	       err->kind == ERROR_INTERNAL;
}

struct gathering {
	struct search_others *others;
	struct metadata *metadata;
	const struct search_question *question; /* as members are asked it */
	struct arena *arena;
	struct parts parts;
	struct search_missing *missing;
};

static void take(struct gathering *g, int place, const struct search_records *records)
{
	g->parts.at[g->parts.len++] = (struct part){ place, *records };
}

static void take_error(struct gathering *g, const struct error *err)
{
	/* Another one may have it; what is too large for one is too large. */
	if (!g->parts.said || g->parts.err.kind == ERROR_UNKNOWN)
		g->parts.err = *err;
	g->parts.said = true;
}

static void take_own(struct gathering *g)
{
	struct search_records records;
	struct error err;

	if (search_question_run(g->metadata, g->question, g->arena, &records, &err))
		take(g, g->others->cluster.self, &records);
	else if (is_away(&err))
		tell_missing(g->others, g->missing, g->others->cluster.self);
	else
		take_error(g, &err);
}

static void take_part(struct gathering *g, const struct asked *asked, size_t place)
{
	struct member *member = &g->others->members[place];
	struct search_records records;
	struct error err;
	bool said = false;

	if (!member->missing && asked->parts[place].at) {
		if (search_wire_get_records(asked->parts[place], g->arena, &records, &said, &err)) {
			take(g, (int)place, &records);
			return;
		}
		if ((said && !is_away(&err)) || err.kind == ERROR_TOO_LARGE) {
			take_error(g, &err);
			return;
		}
		if (!said)
			member->missing = member->garbled = true;
	}
	tell_missing(g->others, g->missing, (int)place);
}

static void take_all(struct gathering *g, const struct asked *asked)
{
	struct search_others *others = g->others;

	for (size_t i = 0; i < others->members_len; i++) {
		if ((int)i == others->cluster.self)
			take_own(g);
		else if (is_for(others, asked, i))
			take_part(g, asked, i);
	}
}

/* Of all, not of what its owner brings up to date for the question. */
static void tell_who_is_behind(struct gathering *g)
{
	struct search_others *others = g->others;

	for (size_t i = 0; i < others->members_len; i++) {
		bool partial = (int)i == others->cluster.self ? !metadata_is_whole(g->metadata)
							      : others->members[i].partial;
		if (partial && !others->members[i].missing)
			tell_partial(others, g->missing, (int)i);
	}
}

/* ---- one list of many ---- */

/* Whatever a row is; its name, and whose word it is. */
struct row {
	const void *record;
	const char *repository;
	int rank; /* 0: the owner; else from 1 on */
	uint32_t part;
};

static int by_repository(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int order = strcmp(x->repository, y->repository);

	return order ? order : (x->rank > y->rank) - (x->rank < y->rank);
}

/* One member's word for each repository, and of what may be read. Each that goes is not counted. */
static size_t keep_one_word(struct gathering *g, struct row *rows, size_t len, uint64_t *total)
{
	const struct metadata_who *who = &g->question->query.who;
	size_t kept = 0;

	qsort(rows, len, sizeof(*rows), by_repository);
	for (size_t from = 0, to; from < len; from = to) {
		bool may = !who->may_read || who->may_read(who->arg, str_of(rows[from].repository));

		for (to = from; to < len && !strcmp(rows[to].repository, rows[from].repository); to++) {
			if (may && rows[to].part == rows[from].part)
				rows[kept++] = rows[to];
			else
				*total -= least(*total, 1);
		}
	}
	return kept;
}

static void add_row(
	struct gathering *g, struct row *row, const void *record, const char *repository, size_t part)
{
	int place = g->parts.at[part].place;
	bool owns = ring_owner(g->others->cluster.ring, str_of(repository)) == place;

	*row = (struct row){ record, repository, owns ? 0 : place + 1, (uint32_t)part };
}

static int order_rows_of_repositories(const void *a, const void *b, void *sort)
{
	return metadata_compare_repositories(*(enum metadata_sort *)sort, ((const struct row *)a)->record,
		((const struct row *)b)->record);
}

static int order_rows_of_images(const void *a, const void *b, void *sort)
{
	return metadata_compare_images(*(enum metadata_sort *)sort, ((const struct row *)a)->record,
		((const struct row *)b)->record);
}

/* What a list is put together of; its records have this size. */
struct whole {
	struct row *rows;
	size_t len, size;
	uint64_t total;
	int (*order)(const void *a, const void *b, void *sort);
};

/* The page of it, as records one behind the other. False: there is no room. */
static bool cut_out(struct gathering *g, struct whole *whole, const struct metadata_query *page,
	const void **ret, size_t *ret_len)
{
	enum metadata_sort sort = page->sort;
	size_t len = keep_one_word(g, whole->rows, whole->len, &whole->total);
	size_t from = least(page->offset, len);
	size_t n = page->no_limit ? len - from : least(page->limit, len - from);
	char *into = n ? arena_take(g->arena, n * whole->size) : NULL;

	qsort_r(whole->rows, len, sizeof(*whole->rows), whole->order, &sort);
	for (size_t i = 0; into && i < n; i++)
		memcpy(into + i * whole->size, whole->rows[from + i].record, whole->size);
	free(whole->rows);
	*ret = into;
	*ret_len = into ? n : 0;
	return into || !n;
}

static struct whole whole_of(
	const struct gathering *g, size_t size, int (*order)(const void *, const void *, void *))
{
	size_t len = 0;

	for (size_t i = 0; i < g->parts.len; i++)
		len += g->parts.at[i].records.repos.len + g->parts.at[i].records.images.len;
	return (struct whole){ .rows = xnew_array(struct row, len + 1), .size = size, .order = order };
}

static bool merge_repositories(
	struct gathering *g, const struct metadata_query *page, struct metadata_repositories *ret)
{
	struct whole whole = whole_of(g, sizeof(*ret->at), order_rows_of_repositories);
	const void *first;
	bool ok;

	for (size_t i = 0; i < g->parts.len; i++) {
		const struct metadata_repositories *repos = &g->parts.at[i].records.repos;

		whole.total += repos->total;
		for (size_t n = 0; n < repos->len; n++)
			add_row(g, &whole.rows[whole.len++], &repos->at[n], repos->at[n].name, i);
	}
	ok = cut_out(g, &whole, page, &first, &ret->len);
	ret->at = first;
	ret->total = whole.total;
	return ok;
}

static bool merge_images(struct gathering *g, const struct metadata_query *page, struct metadata_images *ret)
{
	struct whole whole = whole_of(g, sizeof(*ret->at), order_rows_of_images);
	const void *first;
	bool ok;

	for (size_t i = 0; i < g->parts.len; i++) {
		const struct metadata_images *images = &g->parts.at[i].records.images;

		whole.total += images->total;
		ret->cut |= images->cut;
		for (size_t n = 0; n < images->len; n++)
			add_row(g, &whole.rows[whole.len++], &images->at[n], images->at[n].repository, i);
	}
	ok = cut_out(g, &whole, page, &first, &ret->len);
	ret->at = first;
	ret->total = whole.total;
	return ok;
}

static bool merge(
	struct gathering *g, const struct metadata_query *page, struct search_records *ret, struct error *err)
{
	struct search_records records = { .of_repos = g->question->verb == SEARCH_REPOSITORIES };

	if (g->parts.said)
		*err = g->parts.err;
	else if (!g->parts.len)
		(void)error_set(err, ERROR_UNAVAILABLE, NULL, "no member of the cluster answers");
	else if (!merge_repositories(g, page, &records.repos) || !merge_images(g, page, &records.images))
		(void)error_set(
			err, ERROR_TOO_LARGE, NULL, "the answer is too large; ask for fewer at a time");
	else {
		*ret = records;
		return true;
	}
	return false;
}

/* ---- of one repository ---- */

static bool has_any(const struct search_records *records)
{
	return records->repos.total || records->images.total || records->referrers_len;
}

/* The owner's word, where it knows of the repository; else that of one that does. */
static const struct part *choose(const struct gathering *g)
{
	int owner = ring_owner(g->others->cluster.ring, g->question->name);
	const struct part *chosen = NULL;

	for (size_t i = 0; i < g->parts.len; i++) {
		const struct part *part = &g->parts.at[i];

		if (!chosen || (!has_any(&chosen->records) && has_any(&part->records)) ||
			(part->place == owner && has_any(&part->records)))
			chosen = part;
	}
	return chosen;
}

static bool take_one_word(struct gathering *g, struct search_records *ret, struct error *err)
{
	const struct metadata_who *who = &g->question->query.who;
	const struct part *part = choose(g);

	if (part &&
		(!has_any(&part->records) || !who->may_read || who->may_read(who->arg, g->question->name))) {
		*ret = part->records;
		return true;
	}
	if (g->parts.said)
		*err = g->parts.err;
	else if (part)
		(void)error_set(err, ERROR_UNKNOWN, NULL, "repository not found");
	else
		(void)error_set(err, ERROR_UNAVAILABLE, NULL,
			"the member that has this repository does not answer: %s",
			buf_text(&g->missing->names));
	return false;
}

/* Its owner has nothing: maybe it has not taken it yet. */
static bool may_be_elsewhere(const struct gathering *g)
{
	const struct parts *parts = &g->parts;

	return g->others->cluster.isolated && !g->missing->len &&
	       (parts->said ? parts->err.kind == ERROR_UNKNOWN
			    : parts->len && !has_any(&parts->at[0].records));
}

/* ---- a question is answered ---- */

static size_t answer_max(const struct search_question *question)
{
	const struct metadata_query *query = &question->query;

	if (question->verb == SEARCH_IMAGE || question->verb == SEARCH_REFERRERS)
		return IMAGE_BYTES;
	if (query->no_limit || query->limit > ANSWER_MAX / ROW_BYTES)
		return ANSWER_MAX;
	return most(PAGE_LEAST, query->limit * ROW_BYTES);
}

/* NULL: it waits. */
static const struct asked *ask(struct gathering *g, struct str bytes, int target, bool *ret_room)
{
	struct asked *asked = find(g->others, bytes, target);

	*ret_room = true;
	if (!asked) {
		*ret_room = add(g->others, bytes, target, answer_max(g->question)) != NULL;
		return NULL;
	}
	return asked->ended ? asked : NULL;
}

static bool refuse_many(struct error *err)
{
	return error_set(err, ERROR_TOO_LARGE, NULL, "one query asks too many questions of other members");
}

static enum search_gathered gather_all(struct gathering *g, struct str bytes,
	const struct metadata_query *page, struct search_records *ret, struct error *err)
{
	bool room;
	const struct asked *asked = ask(g, bytes, ALL, &room);

	if (!asked)
		return room || refuse_many(err) ? SEARCH_WAITS : SEARCH_FAILED;
	take_all(g, asked);
	if (search_question_is_of_one(g->question))
		return take_one_word(g, ret, err) ? SEARCH_GATHERED : SEARCH_FAILED;
	tell_who_is_behind(g);
	return merge(g, page, ret, err) ? SEARCH_GATHERED : SEARCH_FAILED;
}

static enum search_gathered gather_one(
	struct gathering *g, struct str bytes, struct search_records *ret, struct error *err)
{
	int owner = ring_owner(g->others->cluster.ring, g->question->name);
	const struct asked *asked;
	bool room;

	if (owner == g->others->cluster.self || owner == RING_NOBODY) {
		take_own(g);
	} else {
		asked = ask(g, bytes, owner, &room);
		if (!asked)
			return room || refuse_many(err) ? SEARCH_WAITS : SEARCH_FAILED;
		take_part(g, asked, (size_t)owner);
	}
	if (may_be_elsewhere(g)) {
		g->parts.len = 0;
		g->parts.said = false;
		return gather_all(g, bytes, NULL, ret, err);
	}
	return take_one_word(g, ret, err) ? SEARCH_GATHERED : SEARCH_FAILED;
}

/* The page is cut out here: of each member all items are wanted that may be in front of its end. */
static struct search_question as_asked(const struct search_question *question)
{
	struct search_question asked = *question;
	struct metadata_query *query = &asked.query;

	if (search_question_is_of_one(question) || query->no_limit)
		query->offset = search_question_is_of_one(question) ? query->offset : 0;
	else {
		query->limit =
			query->limit ? query->limit + least(query->offset, SIZE_MAX - query->limit) : 0;
		query->offset = 0;
	}
	return asked;
}

enum search_gathered search_gather(struct search_others *others, struct metadata *metadata,
	const struct search_question *question, struct arena *arena, struct search_records *ret,
	struct search_missing *ret_missing, struct error *err)
{
	AUTO_FINI(buf) bytes = buf_limit(SEARCH_ASK_MAX / 2);
	struct search_question asked = as_asked(question);
	struct gathering g = { .others = others,
		.metadata = metadata,
		.question = &asked,
		.arena = arena,
		.missing = ret_missing };
	enum search_gathered how;

	ret_missing->names = ret_missing->json = ret_missing->partial_names = ret_missing->partial_json =
		buf_limit(NAMES_MAX);
	search_wire_put_question(&asked, &bytes);
	if (bytes.failed) {
		(void)error_set(err, ERROR_TOO_LARGE, NULL, "what is asked of other members is too large");
		return SEARCH_FAILED;
	}
	g.parts.at = xnew_array(struct part, others->members_len + 1);
	how = search_question_is_of_one(question)
		      ? gather_one(&g, buf_str(&bytes), ret, err)
		      : gather_all(&g, buf_str(&bytes), &question->query, ret, err);
	free(g.parts.at);
	return how;
}
