/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/search/search_gather.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/json.h"
#include "common/least.h"
#include "worker/search/search_others_priv.h"
#include "worker/search/search_wire.h"

#define NAMED_MOST 8u
#define NAMES_MAX  (NAMED_MOST * (RING_MEMBER_ID_MAX + 8u) * 6)
/* Bytes of one member's answer, by what it is asked; SEARCH_ANSWER_MAX: of all there is. */
#define ROW_BYTES   ((size_t)32 * 1024)
#define KEY_BYTES   ((size_t)512)
#define PAGE_LEAST  ((size_t)256 * 1024)
#define IMAGE_BYTES ((size_t)4 * 1024 * 1024)

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

static void take_part(struct gathering *g, const struct search_asked *asked, size_t place)
{
	struct search_member *member = &g->others->members[place];
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

static void take_all(struct gathering *g, const struct search_asked *asked)
{
	struct search_others *others = g->others;

	for (size_t i = 0; i < others->members_len; i++) {
		if ((int)i == others->cluster.self)
			take_own(g);
		else if (search_others_is_for(others, asked, i))
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

/* All that came, in order, each repository by one word. */
struct whole {
	bool of_repos, cut;
	struct row *rows;
	size_t len, size; /* of a record */
	uint64_t total;
};

static void whole_fini(struct whole *whole)
{
	free(whole->rows);
}

static void add_row(
	struct gathering *g, struct whole *whole, const void *record, const char *repository, size_t part)
{
	int place = g->parts.at[part].place;
	bool owns = ring_owner(g->others->cluster.ring, str_of(repository)) == place;

	whole->rows[whole->len++] = (struct row){ record, repository, owns ? 0 : place + 1, (uint32_t)part };
}

static void add_part(struct gathering *g, struct whole *whole, size_t part)
{
	const struct metadata_repositories *repos = &g->parts.at[part].records.repos;
	const struct metadata_images *images = &g->parts.at[part].records.images;

	whole->cut |= images->cut;
	whole->total += whole->of_repos ? repos->total : images->total;
	for (size_t i = 0; whole->of_repos && i < repos->len; i++)
		add_row(g, whole, &repos->at[i], repos->at[i].name, part);
	for (size_t i = 0; !whole->of_repos && i < images->len; i++)
		add_row(g, whole, &images->at[i], images->at[i].repository, part);
}

static struct whole whole_of(struct gathering *g)
{
	struct whole whole = { .of_repos = g->question->verb == SEARCH_REPOSITORIES };
	enum metadata_sort sort = g->question->query.sort;
	size_t len = 0;

	whole.size = whole.of_repos ? sizeof(struct metadata_repository) : sizeof(struct metadata_image);
	for (size_t i = 0; i < g->parts.len; i++)
		len += g->parts.at[i].records.repos.len + g->parts.at[i].records.images.len;
	whole.rows = xnew_array(struct row, len + 1);
	for (size_t i = 0; i < g->parts.len; i++)
		add_part(g, &whole, i);
	whole.len = keep_one_word(g, whole.rows, whole.len, &whole.total);
	qsort_r(whole.rows, whole.len, sizeof(*whole.rows),
		whole.of_repos ? order_rows_of_repositories : order_rows_of_images, &sort);
	return whole;
}

/* n of its rows, as records one behind the other. */
static bool cut_out(struct gathering *g, const struct whole *whole, size_t from, size_t n,
	struct search_records *ret, struct error *err)
{
	char *into = n ? arena_take(g->arena, n * whole->size) : NULL;

	if (n && !into)
		return error_set(
			err, ERROR_TOO_LARGE, NULL, "the answer is too large; ask for fewer at a time");
	for (size_t i = 0; i < n; i++)
		memcpy(into + i * whole->size, whole->rows[from + i].record, whole->size);
	*ret = (struct search_records){ .of_repos = whole->of_repos };
	if (whole->of_repos)
		ret->repos = (struct metadata_repositories){ (const void *)into, n, whole->total };
	else
		ret->images = (struct metadata_images){ (const void *)into, n, whole->total, whole->cut };
	return true;
}

/* Somebody answered, and nobody refused. */
static bool has_answers(const struct gathering *g, struct error *err)
{
	if (g->parts.said)
		*err = g->parts.err;
	else if (!g->parts.len)
		(void)error_set(err, ERROR_UNAVAILABLE, NULL, "no member of the cluster answers");
	return !g->parts.said && g->parts.len;
}

static bool merge(
	struct gathering *g, const struct metadata_query *page, struct search_records *ret, struct error *err)
{
	AUTO_FINI(whole) whole = { .len = 0 };
	size_t from;

	if (!has_answers(g, err))
		return false;
	whole = whole_of(g);
	from = least(page->offset, whole.len);
	return cut_out(g, &whole, from,
		page->no_limit ? whole.len - from : least(page->limit, whole.len - from), ret, err);
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
	size_t row;

	if (question->verb == SEARCH_IMAGE || question->verb == SEARCH_REFERRERS)
		return IMAGE_BYTES;
	row = query->want & METADATA_KEYS ? KEY_BYTES : ROW_BYTES;
	if (query->no_limit || query->limit > SEARCH_ANSWER_MAX / row)
		return SEARCH_ANSWER_MAX;
	return most(PAGE_LEAST, query->limit * row);
}

static enum search_gathered ask(
	struct gathering *g, int target, const struct search_asked **ret, struct error *err)
{
	AUTO_FINI(buf) bytes = buf_limit(SEARCH_ASK_MAX / 2);

	search_wire_put_question(g->question, &bytes);
	if (!buf_check(&bytes, "what is asked of other members", err))
		return SEARCH_FAILED;
	*ret = search_others_find(g->others, buf_str(&bytes), target);
	if (*ret)
		return (*ret)->ended ? SEARCH_GATHERED : SEARCH_WAITS;
	if (search_others_add(g->others, buf_str(&bytes), target, answer_max(g->question)))
		return SEARCH_WAITS;
	(void)error_set(err, ERROR_TOO_LARGE, NULL, "one query asks too many questions of other members");
	return SEARCH_FAILED;
}

static enum search_gathered ask_all_members(struct gathering *g, struct error *err)
{
	const struct search_asked *asked;
	enum search_gathered how = ask(g, SEARCH_ALL, &asked, err);

	if (how == SEARCH_GATHERED)
		take_all(g, asked);
	return how;
}

/* Of ourselves: at once. */
static enum search_gathered ask_member(struct gathering *g, int place, struct error *err)
{
	const struct search_asked *asked;
	enum search_gathered how = SEARCH_GATHERED;

	if (place == g->others->cluster.self) {
		take_own(g);
		return how;
	}
	how = ask(g, place, &asked, err);
	if (how == SEARCH_GATHERED)
		take_part(g, asked, (size_t)place);
	return how;
}

static enum search_gathered gather_all(
	struct gathering *g, const struct metadata_query *page, struct search_records *ret, struct error *err)
{
	enum search_gathered how = ask_all_members(g, err);

	if (how != SEARCH_GATHERED)
		return how;
	tell_who_is_behind(g);
	return merge(g, page, ret, err) ? SEARCH_GATHERED : SEARCH_FAILED;
}

static enum search_gathered gather_one(struct gathering *g, struct search_records *ret, struct error *err)
{
	int owner = ring_owner(g->others->cluster.ring, g->question->name);
	enum search_gathered how = ask_member(g, owner == RING_NOBODY ? g->others->cluster.self : owner, err);

	if (how == SEARCH_GATHERED && may_be_elsewhere(g)) {
		g->parts.len = 0;
		g->parts.said = false;
		how = ask_all_members(g, err);
	}
	if (how != SEARCH_GATHERED)
		return how;
	return take_one_word(g, ret, err) ? SEARCH_GATHERED : SEARCH_FAILED;
}

/* ---- a page far behind ---- */

/* Its records alone are worth their bytes: first all that is in front of its end is asked for by keys, which are short. What each member has of the page is then a
 * piece of its list, and is asked for as such. */
#define DEEP_FROM 40u
#define DEEP_MOST 1000u

static bool is_deep(const struct search_others *others, const struct search_question *question)
{
	const struct metadata_query *query = &question->query;

	return !search_question_is_of_one(question) && !query->no_limit && query->offset >= DEEP_FROM &&
	       query->limit && query->limit <= DEEP_MOST && others->members_len <= SEARCH_DEEP_MEMBERS;
}

struct piece {
	size_t from, to; /* of a part */
};

static void find_pieces(
	const struct gathering *keys, const struct row *rows, size_t n, bool of_repos, struct piece *pieces)
{
	for (size_t i = 0; i < n; i++) {
		const struct search_records *records = &keys->parts.at[rows[i].part].records;
		struct piece *piece = &pieces[rows[i].part];
		size_t at = of_repos ? (size_t)((const struct metadata_repository *)rows[i].record -
						records->repos.at)
				     : (size_t)((const struct metadata_image *)rows[i].record -
						records->images.at);

		if (piece->from == piece->to)
			*piece = (struct piece){ at, at + 1 };
		piece->from = least(piece->from, at);
		piece->to = most(piece->to, at + 1);
	}
}

static enum search_gathered take_pieces(
	struct gathering *g, const struct gathering *keys, const struct piece *pieces, struct error *err)
{
	const struct search_question *question = g->question;
	struct search_question one = *question;
	enum search_gathered how = SEARCH_GATHERED, piece;

	g->question = &one;
	for (size_t i = 0; how != SEARCH_FAILED && i < keys->parts.len; i++) {
		one.query.offset = pieces[i].from;
		one.query.limit = pieces[i].to - pieces[i].from;
		piece = one.query.limit ? ask_member(g, keys->parts.at[i].place, err) : SEARCH_GATHERED;
		if (piece != SEARCH_GATHERED)
			how = piece;
	}
	g->question = question;
	return how;
}

/* Between the two rounds something may have come or gone: no more than the page has is told. */
static enum search_gathered put_pieces(struct gathering *g, const struct whole *keys, size_t n,
	struct search_records *ret, struct error *err)
{
	AUTO_FINI(whole) page = { .len = 0 };

	if (g->parts.said) {
		*err = g->parts.err;
		return SEARCH_FAILED;
	}
	page = whole_of(g);
	page.total = keys->total;
	page.cut = keys->cut;
	return cut_out(g, &page, 0, least(n, page.len), ret, err) ? SEARCH_GATHERED : SEARCH_FAILED;
}

static enum search_gathered take_keys(struct gathering *keys, struct error *err)
{
	enum search_gathered how = ask_all_members(keys, err);

	if (how != SEARCH_GATHERED)
		return how;
	tell_who_is_behind(keys);
	return has_answers(keys, err) ? SEARCH_GATHERED : SEARCH_FAILED;
}

static enum search_gathered gather_deep_with(struct gathering *g, struct gathering *keys,
	struct piece *pieces, struct search_records *ret, struct error *err)
{
	const struct metadata_query *page = &g->question->query;
	enum search_gathered how = take_keys(keys, err);
	AUTO_FINI(whole) whole = { .len = 0 };
	size_t from, n;

	if (how != SEARCH_GATHERED)
		return how;
	whole = whole_of(keys);
	from = least(page->offset, whole.len);
	n = least(page->limit, whole.len - from);
	find_pieces(keys, whole.rows + from, n, whole.of_repos, pieces);
	how = take_pieces(g, keys, pieces, err);
	return how == SEARCH_GATHERED ? put_pieces(g, &whole, n, ret, err) : how;
}

static enum search_gathered gather_deep(struct gathering *g, const struct search_question *question,
	struct search_records *ret, struct error *err)
{
	struct search_question asked = *g->question;
	struct gathering keys = *g;
	struct piece *pieces = xnew_array(struct piece, g->others->members_len + 1);
	enum search_gathered how;

	asked.query.want = METADATA_KEYS;
	keys.question = &asked;
	keys.parts = (struct parts){ .at = xnew_array(struct part, g->others->members_len + 1) };
	g->question = question;
	how = gather_deep_with(g, &keys, pieces, ret, err);
	free(keys.parts.at);
	free(pieces);
	return how;
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
	struct search_question asked = as_asked(question);
	struct gathering g = { .others = others,
		.metadata = metadata,
		.question = &asked,
		.arena = arena,
		.missing = ret_missing };
	enum search_gathered how;

	ret_missing->names = ret_missing->json = ret_missing->partial_names = ret_missing->partial_json =
		buf_limit(NAMES_MAX);
	g.parts.at = xnew_array(struct part, others->members_len + 1);
	if (is_deep(others, question))
		how = gather_deep(&g, question, ret, err);
	else if (search_question_is_of_one(question))
		how = gather_one(&g, ret, err);
	else
		how = gather_all(&g, &question->query, ret, err);
	free(g.parts.at);
	return how;
}
