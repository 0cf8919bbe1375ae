/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search_wire - each record is described once, for both ways: the function of a member writes it, or reads it, and gives back what it is then.
 */
#include "worker/search/search_wire.h"

#include <string.h>

#define FILTERS_MAX  100u
#define MOMENT_LEAST (-INT64_C(62135596800000)) /* the year 1 */
#define MOMENT_MOST  INT64_C(253402300799999)   /* the end of the year 9999 */

/* into: it is written. Else `rest` is read; what does not fit is remembered until the end. */
struct wire {
	struct buf *into;
	struct str rest;
	struct arena *arena;
	bool wrong, full;
};

/* ---- values ---- */

static void put_number(struct buf *into, uint64_t n)
{
	for (; n >= 0x80; n >>= 7)
		buf_putc(into, (char)(n | 0x80));
	buf_putc(into, (char)n);
}

/* The shortest form alone. */
static uint64_t get_number(struct wire *w)
{
	uint64_t n = 0;

	for (unsigned shift = 0; !w->wrong; shift += 7) {
		uint8_t byte;

		if (!w->rest.len || shift > 63) {
			w->wrong = true;
			break;
		}
		byte = (uint8_t)*w->rest.at;
		w->rest = str_from(w->rest.at + 1, w->rest.len - 1);
		w->wrong = (shift == 63 && byte > 1) || (shift && !byte);
		n |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			break;
	}
	return w->wrong ? 0 : n;
}

static uint64_t number(struct wire *w, uint64_t n, uint64_t most)
{
	if (w->into) {
		put_number(w->into, n);
		return n;
	}
	n = get_number(w);
	w->wrong |= n > most;
	return w->wrong ? 0 : n;
}

/* The sign is the lowest bit. */
static int64_t integer(struct wire *w, int64_t n)
{
	uint64_t folded = number(w, (uint64_t)n << 1 ^ (n < 0 ? UINT64_MAX : 0), UINT64_MAX);

	return (int64_t)(folded >> 1 ^ (folded & 1 ? UINT64_MAX : 0));
}

static int64_t moment(struct wire *w, int64_t ms)
{
	ms = integer(w, ms);
	w->wrong |= !w->into && (ms < MOMENT_LEAST || ms > MOMENT_MOST);
	return w->wrong ? 0 : ms;
}

static bool flag(struct wire *w, bool is)
{
	return number(w, is, 1);
}

static void put_bytes(struct buf *into, struct str s)
{
	put_number(into, s.len);
	buf_add(into, s);
}

static struct str get_bytes(struct wire *w)
{
	uint64_t len = get_number(w);
	struct str s = STR_NONE;

	w->wrong |= len > w->rest.len;
	if (w->wrong)
		return s;
	s = str_from(w->rest.at, len);
	w->rest = str_from(w->rest.at + len, w->rest.len - len);
	return s;
}

static struct str str_value(struct wire *w, struct str s)
{
	const char *copy;

	if (w->into) {
		put_bytes(w->into, s);
		return s;
	}
	s = get_bytes(w);
	copy = w->wrong || !s.len ? "" : arena_text(w->arena, s);
	w->full |= !copy;
	w->wrong |= !copy;
	return copy ? str_from(copy, w->wrong ? 0 : s.len) : STR("");
}

/* Of a record: it ends with its NUL. Where only keys are told (METADATA_KEYS) there is none. */
static const char *text(struct wire *w, const char *s)
{
	struct str value = str_value(w, w->into ? str_of(s ? s : "") : STR_NONE);

	w->wrong |= strlen(value.at) != value.len;
	return value.at;
}

static struct digest digest(struct wire *w, struct digest value)
{
	struct digest ret = { .alg = HASH_SHA256 };
	struct str raw;

	if (w->into) {
		put_bytes(w->into, str_from(value.raw, value.alg == HASH_SHA512 ? 64 : 32));
		return value;
	}
	raw = get_bytes(w);
	w->wrong |= raw.len != 32 && raw.len != 64;
	if (w->wrong)
		return ret;
	ret.alg = raw.len == 64 ? HASH_SHA512 : HASH_SHA256;
	memcpy(ret.raw, raw.at, raw.len);
	return ret;
}

/* Its items; an item has a byte at least, so no list is longer than what is left. */
static void *list(struct wire *w, const void *at, size_t *len, size_t size)
{
	void *items;

	if (w->into) {
		put_number(w->into, *len);
		return (void *)(uintptr_t)at;
	}
	*len = get_number(w);
	w->wrong |= *len > w->rest.len;
	items = w->wrong || !*len ? NULL : arena_take(w->arena, *len * size);
	w->full |= !w->wrong && *len && !items;
	w->wrong |= w->full;
	if (!items)
		*len = 0;
	return items;
}
#define LIST(w, at, len) list(w, at, len, sizeof(*(at)))

/* What is written stays as it is: it may be anybody's. */
#define VIA(member, how)           SET(member, how(w, member))
#define VIA_WITH(member, how, ...) SET(member, how(w, member, __VA_ARGS__))
#define SET(member, value)                                                                                   \
	do {                                                                                                 \
		__typeof__(member) set_ = value;                                                             \
		if (!w->into)                                                                                \
			member = set_;                                                                       \
	} while (0)

/* ---- records ---- */

static void platform(struct wire *w, struct metadata_platform *p)
{
	VIA(p->os, text);
	VIA(p->arch, text);
}

static const struct metadata_signature *signatures(
	struct wire *w, const struct metadata_signature *at, size_t *len)
{
	struct metadata_signature *to = LIST(w, at, len);

	for (size_t i = 0; i < *len; i++) {
		VIA(to[i].tool, text);
		VIA(to[i].is_trusted, flag);
		VIA(to[i].author, text);
	}
	return to;
}

static const struct annotation *annotations(struct wire *w, const struct annotation *at, size_t *len)
{
	struct annotation *to = LIST(w, at, len);

	for (size_t i = 0; i < *len; i++) {
		SET(to[i].key, (char *)(uintptr_t)text(w, to[i].key));
		SET(to[i].value, (char *)(uintptr_t)text(w, to[i].value));
	}
	return to;
}

static const struct metadata_referrer *referrers(
	struct wire *w, const struct metadata_referrer *at, size_t *len)
{
	struct metadata_referrer *to = LIST(w, at, len);

	for (size_t i = 0; i < *len; i++) {
		VIA(to[i].media_type, text);
		VIA(to[i].artifact_type, text);
		VIA(to[i].digest, digest);
		VIA_WITH(to[i].size, number, UINT64_MAX);
		VIA_WITH(to[i].annotations, annotations, &to[i].annotations_len);
	}
	return to;
}

static const struct image_layer *layers(struct wire *w, const struct image_layer *at, size_t *len)
{
	struct image_layer *to = LIST(w, at, len);

	for (size_t i = 0; i < *len; i++) {
		VIA(to[i].digest, digest);
		VIA_WITH(to[i].size, number, UINT64_MAX);
	}
	return to;
}

/* A layer is a place in the list of layers, from 1; 0: none. */
static const struct image_history *history(
	struct wire *w, const struct image_history *at, size_t *len, size_t layers_len)
{
	struct image_history *to = LIST(w, at, len);

	for (size_t i = 0; i < *len; i++) {
		uint64_t layer = to[i].layer == IMAGE_NO_LAYER ? 0 : to[i].layer + 1;

		VIA(to[i].created_by, text);
		VIA(to[i].author, text);
		VIA(to[i].comment, text);
		VIA(to[i].created_ms, moment);
		VIA(to[i].empty_layer, flag);
		layer = number(w, layer, layers_len);
		SET(to[i].layer, layer ? (size_t)layer - 1 : IMAGE_NO_LAYER);
	}
	return to;
}

static const struct metadata_manifest *manifests(
	struct wire *w, const struct metadata_manifest *at, size_t *len)
{
	struct metadata_manifest *to = LIST(w, at, len);

	for (size_t i = 0; i < *len; i++) {
		struct metadata_manifest *m = &to[i];

		VIA(m->digest, digest);
		VIA(m->has_config, flag);
		if (m->has_config)
			VIA(m->config, digest);
		VIA(m->updated_ms, moment);
		VIA_WITH(m->size, number, UINT64_MAX);
		platform(w, &m->platform);
		VIA_WITH(m->downloads, number, UINT64_MAX);
		VIA(m->artifact_type, text);
		VIA_WITH(m->signatures, signatures, &m->signatures_len);
		VIA_WITH(m->layers, layers, &m->layers_len);
		VIA_WITH(m->history, history, &m->history_len, m->layers_len);
		VIA(m->history_differs, flag);
		VIA_WITH(m->referrers, referrers, &m->referrers_len);
	}
	return to;
}

static void image_texts(struct wire *w, struct metadata_image *i)
{
	const char **const texts[] = { &i->title, &i->description, &i->licenses, &i->labels, &i->source,
		&i->documentation, &i->vendor, &i->authors, &i->artifact_type, &i->media_type,
		&i->pushed_by };

	for (size_t at = 0; at < sizeof(texts) / sizeof(texts[0]); at++)
		VIA(*texts[at], text);
}

static void image(struct wire *w, struct metadata_image *i)
{
	VIA(i->repository, text);
	VIA(i->tag, text);
	VIA(i->digest, digest);
	image_texts(w, i);
	VIA_WITH(i->size, number, UINT64_MAX);
	VIA_WITH(i->downloads, number, UINT64_MAX);
	VIA(i->pulled_ms, moment);
	VIA(i->pushed_ms, moment);
	VIA(i->tagged_ms, moment);
	VIA(i->updated_ms, moment);
	VIA_WITH(i->signatures, signatures, &i->signatures_len);
	VIA_WITH(i->manifests, manifests, &i->manifests_len);
	VIA_WITH(i->referrers, referrers, &i->referrers_len);
}

static const struct metadata_platform *platforms(
	struct wire *w, const struct metadata_platform *at, size_t *len)
{
	struct metadata_platform *to = LIST(w, at, len);

	for (size_t i = 0; i < *len; i++)
		platform(w, &to[i]);
	return to;
}

static const char *const *texts_of(struct wire *w, const char *const *at, size_t *len)
{
	const char **to = LIST(w, at, len);

	for (size_t i = 0; i < *len; i++)
		VIA(to[i], text);
	return to;
}

static const struct metadata_image *newest(struct wire *w, const struct metadata_image *at)
{
	size_t len = at != NULL;
	struct metadata_image *to = LIST(w, at, &len);

	w->wrong |= !w->into && len > 1;
	if (len && !w->wrong)
		image(w, to);
	return len ? to : NULL;
}

static void repository(struct wire *w, struct metadata_repository *r)
{
	VIA(r->name, text);
	VIA(r->updated_ms, moment);
	VIA_WITH(r->size, number, UINT64_MAX);
	VIA_WITH(r->downloads, number, UINT64_MAX);
	VIA_WITH(r->tags_len, number, SIZE_MAX);
	VIA_WITH(r->platforms, platforms, &r->platforms_len);
	VIA_WITH(r->vendors, texts_of, &r->vendors_len);
	VIA(r->rank, integer);
	VIA(r->is_starred, flag);
	VIA(r->is_bookmarked, flag);
	VIA(r->stars, integer);
	VIA(r->newest, newest);
}

static void records(struct wire *w, struct search_records *r)
{
	struct metadata_repository *repos;
	struct metadata_image *images;

	VIA(r->of_repos, flag);
	VIA_WITH(r->repos.total, number, INT64_MAX);
	VIA_WITH(r->images.total, number, INT64_MAX);
	VIA(r->images.cut, flag);
	r->repos.at = repos = LIST(w, r->repos.at, &r->repos.len);
	for (size_t i = 0; i < r->repos.len && !w->wrong; i++)
		repository(w, &repos[i]);
	r->images.at = images = LIST(w, r->images.at, &r->images.len);
	for (size_t i = 0; i < r->images.len && !w->wrong; i++)
		image(w, &images[i]);
	VIA_WITH(r->referrers, referrers, &r->referrers_len);
}

static bool ended(const struct wire *w, const char *what, struct error *err)
{
	if (w->full)
		return error_set(
			err, ERROR_TOO_LARGE, NULL, "the answer is too large; ask for fewer at a time");
	if (w->wrong || w->rest.len)
		return error_set(err, ERROR_INVALID, NULL, "this is no %s of this version", what);
	return true;
}

void search_wire_put_records(const struct search_records *value, struct buf *into)
{
	struct search_records copy = *value;
	struct wire w = { .into = into };

	put_number(into, 0);
	records(&w, &copy);
}

void search_wire_put_error(const struct error *error, struct buf *into)
{
	put_number(into, 1);
	put_number(into, error->kind);
	put_bytes(into, str_of(error->text));
}

bool search_wire_get_records(
	struct str bytes, struct arena *arena, struct search_records *ret, bool *ret_said, struct error *err)
{
	struct search_records value = { .of_repos = false };
	struct wire w = { .rest = bytes, .arena = arena };

	if (flag(&w, false)) {
		enum error_kind kind = (enum error_kind)number(&w, 0, ERROR_FULL);
		const char *said = text(&w, NULL);

		if (!ended(&w, "answer", err))
			return false;
		*ret_said = true;
		return error_set(err, kind, NULL, "%s", said);
	}
	records(&w, &value);
	if (!ended(&w, "answer", err))
		return false;
	*ret = value;
	return true;
}

/* ---- questions ---- */

static const struct str *strs(struct wire *w, const struct str *at, size_t *len)
{
	struct str *to = LIST(w, at, len);

	w->wrong |= !w->into && *len > FILTERS_MAX;
	for (size_t i = 0; i < *len && !w->wrong; i++)
		VIA(to[i], str_value);
	return to;
}

static void query(struct wire *w, struct metadata_query *q)
{
	q->sort = (enum metadata_sort)number(w, q->sort, METADATA_DOWNLOADS);
	VIA_WITH(q->offset, number, SIZE_MAX);
	VIA_WITH(q->limit, number, SIZE_MAX);
	VIA(q->no_limit, flag);
	q->want = (unsigned)number(w, q->want, UINT32_MAX);
	VIA(q->by_platform, flag);
	VIA_WITH(q->os, strs, &q->os_len);
	VIA_WITH(q->arch, strs, &q->arch_len);
	VIA(q->is_signed, flag);
	VIA(q->is_starred, flag);
	VIA(q->is_bookmarked, flag);
	VIA(q->untagged_too, flag);
}

static const struct metadata_reference *references(
	struct wire *w, const struct metadata_reference *at, size_t *len)
{
	struct metadata_reference *to = LIST(w, at, len);

	for (size_t i = 0; i < *len; i++) {
		VIA(to[i].digest, digest);
		VIA_WITH(to[i].layers, layers, &to[i].layers_len);
	}
	return to;
}

static void question(struct wire *w, struct search_question *q)
{
	q->verb = (enum search_verb)number(w, q->verb, SEARCH_VERBS - 1);
	VIA(q->name, str_value);
	VIA(q->text, str_value);
	query(w, &q->query);
	VIA_WITH(q->references, references, &q->references_len);
	VIA(q->subject, digest);
	VIA_WITH(q->types, strs, &q->types_len);
}

void search_wire_put_question(const struct search_question *value, struct buf *into)
{
	struct search_question copy = *value;
	struct wire w = { .into = into };

	question(&w, &copy);
}

bool search_wire_get_question(
	struct str bytes, struct arena *arena, struct search_question *ret, struct error *err)
{
	struct search_question value = { .verb = SEARCH_VERBS };
	struct wire w = { .rest = bytes, .arena = arena };

	question(&w, &value);
	if (!ended(&w, "question", err))
		return false;
	*ret = value;
	return true;
}

/* ---- around ---- */

static void parts(struct wire *w, struct search_wire_head *head)
{
	VIA_WITH(head->len, number, SEARCH_QUESTIONS_MAX);
	for (size_t i = 0; i < head->len; i++) {
		if (w->into)
			put_bytes(w->into, head->parts[i]);
		else
			head->parts[i] = get_bytes(w);
	}
}

static void format(struct wire *w)
{
	w->wrong |= number(w, SEARCH_WIRE_FORMAT, UINT64_MAX) != SEARCH_WIRE_FORMAT;
}

static void ask(struct wire *w, struct search_wire_head *head)
{
	format(w);
	VIA_WITH(head->ring, number, UINT64_MAX);
	VIA_WITH(head->most, number, UINT64_MAX);
	parts(w, head);
}

static void answer(struct wire *w, struct search_wire_head *head)
{
	format(w);
	VIA(head->whole, flag);
	parts(w, head);
}

void search_wire_put_ask(const struct search_wire_head *head, struct buf *into)
{
	struct search_wire_head copy = *head;
	struct wire w = { .into = into };

	ask(&w, &copy);
}

void search_wire_put_answer(const struct search_wire_head *head, struct buf *into)
{
	struct search_wire_head copy = *head;
	struct wire w = { .into = into };

	answer(&w, &copy);
}

bool search_wire_get_ask(struct str bytes, struct search_wire_head *ret, struct error *err)
{
	struct search_wire_head head = { .len = 0 };
	struct wire w = { .rest = bytes };

	ask(&w, &head);
	if (!ended(&w, "question", err))
		return false;
	*ret = head;
	return true;
}

bool search_wire_get_answer(struct str bytes, struct search_wire_head *ret, struct error *err)
{
	struct search_wire_head head = { .len = 0 };
	struct wire w = { .rest = bytes };

	answer(&w, &head);
	if (!ended(&w, "answer", err))
		return false;
	*ret = head;
	return true;
}
