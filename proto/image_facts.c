/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_facts - the manifest first, then what the config adds; the compact form is one msgpack array, read in the order it was written.
 */
#include "proto/image_facts.h"

#include <stdlib.h>

#include "common/least.h"
#include "proto/pack.h"
#include "proto/timestamp.h"

#define FORMAT 1

/* Two names of the same: OCI's, and label-schema's. */
#define OCI(name)   "org.opencontainers.image." name
#define LABEL(name) "org.label-schema." name
struct names {
	const char *oci, *label;
};
static const struct names created = { OCI("created"), LABEL("build-date") };
static const struct names title = { OCI("title"), LABEL("name") };
static const struct names description = { OCI("description"), LABEL("description") };
static const struct names licenses = { OCI("licenses"), LABEL("license") };
static const struct names labels = { LABEL("labels"), LABEL("labels") };
static const struct names source = { OCI("source"), LABEL("vcs-url") };
static const struct names documentation = { OCI("documentation"), LABEL("usage") };
static const struct names vendor = { OCI("vendor"), LABEL("vendor") };
static const struct names authors = { OCI("authors"), LABEL("authors") };

/* What is being read. */
struct reading {
	struct arena *arena;
	const struct manifest *manifest;
	const struct json *config, *labels; /* NULL: none */
	bool wrong;                         /* a member of the config is of another type */
	bool full;                          /* the arena */
};

const char *image_media_type(const char *media_type)
{
	static const char *const same[][2] = {
		{ "application/vnd.docker.distribution.manifest.v2+json",
			"application/vnd.oci.image.manifest.v1+json" },
		{ "application/vnd.docker.distribution.manifest.list.v2+json",
			"application/vnd.oci.image.index.v1+json" },
		{ "application/vnd.docker.container.image.v1+json",
			"application/vnd.oci.image.config.v1+json" },
	};

	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		if (str_is_nocase(str_of(media_type), same[i][0]))
			return same[i][1];
	return media_type;
}

bool image_config_is_one(const char *media_type)
{
	return str_is_nocase(
		str_of(image_media_type(media_type)), "application/vnd.oci.image.config.v1+json");
}

/* Texts. */

/* No character is cut in two. */
static struct str cut(struct str s, size_t max)
{
	if (s.len <= max)
		return s;
	while (max && ((unsigned char)s.at[max] & 0xc0) == 0x80)
		max--;
	return str_from(s.at, max);
}

static const char *keep_text(struct reading *reading, struct str s)
{
	const char *text = s.len ? arena_text(reading->arena, cut(s, IMAGE_TEXT_MAX)) : "";

	reading->full |= !text;
	return text ? text : "";
}

static void *keep_list(struct reading *reading, size_t len, size_t size)
{
	void *list = len ? arena_take(reading->arena, len * size) : NULL;

	reading->full |= len && !list;
	return list;
}

/* As above; what is over the room that such texts have together is left out. */
static const char *keep_within(struct reading *reading, struct str s, size_t *room)
{
	size_t len = cut(s, IMAGE_TEXT_MAX).len;

	if (len > *room)
		return "";
	*room -= len;
	return keep_text(reading, s);
}

static struct str member(struct reading *reading, const struct json *object, const char *name)
{
	const struct json *node = json_find(object, name);
	struct str text = STR_NONE;

	if (json_kind(node) != JSON_NONE && json_kind(node) != JSON_NULL && !json_get_str(node, &text))
		reading->wrong = true;
	return text;
}

static struct str note(const struct manifest *manifest, const struct names *names)
{
	for (unsigned i = 0; i < 2; i++) {
		const char *name = i ? names->label : names->oci;

		for (size_t at = 0; at < manifest->annotations_len; at++)
			if (!strcmp(manifest->annotations[at].key, name) && *manifest->annotations[at].value)
				return str_of(manifest->annotations[at].value);
	}
	return STR_NONE;
}

static const char *said(struct reading *reading, const struct names *names)
{
	struct str text = note(reading->manifest, names);

	if (!text.len)
		text = member(reading, reading->labels, names->oci);
	if (!text.len)
		text = member(reading, reading->labels, names->label);
	return keep_text(reading, text);
}

/* Times. */

static int64_t thousandths(struct str text)
{
	int64_t ms = 0;
	struct str ignored;
	unsigned n = 0;

	if (!str_until(&text, '.', &ignored))
		return 0;
	for (; n < 3; n++)
		ms = ms * 10 +
		     (n < text.len && text.at[n] >= '0' && text.at[n] <= '9' ? text.at[n] - '0' : 0);
	return ms;
}

/* 0: none, or one of before 1970, as builds have that hide when they were. */
static int64_t time_of(struct str text)
{
	int64_t seconds;

	return text.len && text.len < 64 && timestamp_parse(text, &seconds, NULL)
		       ? seconds * 1000 + thousandths(text)
		       : 0;
}

/* The manifest. */

static const struct image_layer *keep_links(
	struct reading *reading, const struct descriptor *from, size_t len, size_t *ret_len)
{
	struct image_layer *list = keep_list(reading, len, sizeof(*list));

	*ret_len = list ? len : 0;
	for (size_t i = 0; i < *ret_len; i++)
		list[i] = (struct image_layer){ from[i].digest, from[i].size };
	return list;
}

static void keep_annotations(struct reading *reading, struct image_facts *facts)
{
	const struct manifest *manifest = reading->manifest;
	struct annotation *list = keep_list(reading, manifest->annotations_len, sizeof(*list));
	size_t room = IMAGE_TEXTS_MAX;

	facts->annotations = list;
	for (size_t i = 0; list && i < manifest->annotations_len; i++) {
		const struct annotation *from = &manifest->annotations[i];
		const char *key = keep_within(reading, str_of(from->key), &room);

		if (!*key)
			continue;
		/* Nobody writes through them: they are the arena's. */
		list[facts->annotations_len].key = (char *)(uintptr_t)key;
		list[facts->annotations_len++].value =
			(char *)(uintptr_t)keep_within(reading, str_of(from->value), &room);
	}
}

static int compare_layers(const void *a, const void *b)
{
	const struct image_layer *x = a, *y = b;

	return memcmp(x->digest.raw, y->digest.raw, sizeof(x->digest.raw));
}

/* Each blob once. */
static uint64_t weigh(struct reading *reading, const struct image_facts *facts, uint64_t size)
{
	size_t len = facts->layers_len;
	struct image_layer *sorted = keep_list(reading, len, sizeof(*sorted));

	size += facts->has_config ? facts->config_size : 0;
	if (!sorted)
		return size;
	memcpy(sorted, facts->layers, len * sizeof(*sorted));
	qsort(sorted, len, sizeof(*sorted), compare_layers);
	for (size_t i = 0; i < len; i++)
		if (!i || compare_layers(&sorted[i - 1], &sorted[i]))
			size += least(sorted[i].size, UINT64_MAX - size);
	return size;
}

static void read_manifest(struct reading *reading, uint64_t size, struct image_facts *facts)
{
	const struct manifest *manifest = reading->manifest;
	const char *referrer_type = manifest_referrer_type(manifest);

	facts->kind = manifest->kind;
	facts->media_type = keep_text(reading, str_of(image_media_type(manifest->media_type)));
	facts->artifact_type =
		keep_text(reading, str_of(referrer_type ? image_media_type(referrer_type) : ""));
	facts->own_type = keep_text(reading, str_of(manifest->artifact_type));
	facts->has_config = manifest->has_config;
	if (manifest->has_config) {
		facts->config_digest = manifest->config.digest;
		facts->config_size = manifest->config.size;
	}
	facts->has_subject = manifest->has_subject;
	if (manifest->has_subject)
		facts->subject = manifest->subject.digest;
	facts->layers = keep_links(reading, manifest->layers, manifest->layers_len, &facts->layers_len);
	facts->members =
		keep_links(reading, manifest->manifests, manifest->manifests_len, &facts->members_len);
	keep_annotations(reading, facts);
	facts->size = weigh(reading, facts, size);
	facts->noted_ms = time_of(note(manifest, &created));
	facts->created_ms = facts->noted_ms;
}

/* The config. */

static const char *keep_platform(struct reading *reading, struct str arch, struct str variant)
{
	AUTO_FINI(buf) both = buf_limit(2 * (size_t)IMAGE_TEXT_MAX);

	arch = cut(arch, 255);
	variant = cut(variant, 255);
	buf_add(&both, arch);
	if (arch.len && variant.len) {
		buf_putc(&both, '/');
		buf_add(&both, variant);
	}
	return keep_text(reading, buf_str(&both));
}

static void read_row(
	struct reading *reading, const struct json *row, size_t *room, struct image_history *into)
{
	const struct json *empty = json_find(row, "empty_layer");

	reading->wrong |= json_kind(row) != JSON_OBJECT;
	into->created_ms = time_of(member(reading, row, "created"));
	into->created_by = keep_within(reading, member(reading, row, "created_by"), room);
	into->author = keep_within(reading, member(reading, row, "author"), room);
	into->comment = keep_within(reading, member(reading, row, "comment"), room);
	if (json_kind(empty) != JSON_NONE && json_kind(empty) != JSON_NULL &&
		!json_get_bool(empty, &into->empty_layer))
		reading->wrong = true;
}

static void read_history(struct reading *reading, struct image_facts *facts)
{
	const struct json *rows = json_find(reading->config, "history");
	size_t len = least(json_kind(rows) == JSON_ARRAY ? json_len(rows) : 0, IMAGE_HISTORY_MAX), layer = 0;
	struct image_history *list = keep_list(reading, len, sizeof(*list));
	size_t room = IMAGE_TEXTS_MAX;

	reading->wrong |=
		json_kind(rows) != JSON_ARRAY && json_kind(rows) != JSON_NONE && json_kind(rows) != JSON_NULL;
	facts->history = list;
	facts->history_len = list ? len : 0;
	for (size_t i = 0; i < facts->history_len; i++) {
		read_row(reading, json_at(rows, i), &room, &list[i]);
		list[i].layer = !list[i].empty_layer && layer < facts->layers_len ? layer : IMAGE_NO_LAYER;
		layer += !list[i].empty_layer;
	}
	facts->history_differs = facts->history_len && layer != facts->layers_len;
}

/* Its `created`, else the last row that tells. */
static int64_t config_time(struct reading *reading, const struct image_facts *facts)
{
	int64_t ms = time_of(member(reading, reading->config, "created"));

	for (size_t i = facts->history_len; !ms && i; i--)
		ms = facts->history[i - 1].created_ms;
	return ms;
}

static void read_config(struct reading *reading, struct image_facts *facts)
{
	const struct json *inner = json_find(reading->config, "config");

	reading->labels = json_find(inner, "Labels");
	reading->wrong |=
		(json_kind(inner) > JSON_NULL && json_kind(inner) != JSON_OBJECT) ||
		(json_kind(reading->labels) > JSON_NULL && json_kind(reading->labels) != JSON_OBJECT);
	if (json_kind(reading->labels) != JSON_OBJECT)
		reading->labels = NULL;
	facts->os = keep_text(reading, cut(member(reading, reading->config, "os"), 255));
	facts->arch = keep_platform(reading, member(reading, reading->config, "architecture"),
		member(reading, reading->config, "variant"));
	read_history(reading, facts);
	if (!facts->created_ms)
		facts->created_ms = config_time(reading, facts);
}

static void read_texts(struct reading *reading, struct image_facts *facts)
{
	facts->title = said(reading, &title);
	facts->description = said(reading, &description);
	facts->licenses = said(reading, &licenses);
	facts->labels = said(reading, &labels);
	facts->source = said(reading, &source);
	facts->documentation = said(reading, &documentation);
	facts->vendor = said(reading, &vendor);
	facts->authors = said(reading, &authors);
	if (!*facts->authors)
		facts->authors = keep_text(reading, member(reading, reading->config, "author"));
}

/* False: others have the memory for it, it is to be tried again. */
static bool parse_config(
	struct str text, struct json_doc **ret_doc, enum image_config *state, struct error *err)
{
	struct error why = { .text = "" };
	bool fits = text.len <= IMAGE_CONFIG_MAX;
	bool read = fits && json_parse(text, ret_doc, &why);

	if (read)
		*state = json_kind(json_root(*ret_doc)) == JSON_OBJECT ? IMAGE_CONFIG_READ
								       : IMAGE_CONFIG_BROKEN;
	else
		*state = fits && why.kind != ERROR_TOO_LARGE ? IMAGE_CONFIG_BROKEN : IMAGE_CONFIG_TOO_LARGE;
	return read || !fits || why.kind != ERROR_BUSY ||
	       error_set(err, ERROR_BUSY, NULL, "the config: %s", why.text);
}

bool image_facts_parse(const struct manifest *manifest, uint64_t manifest_size, struct str config,
	enum image_config state, struct arena *arena, struct image_facts *ret, struct error *err)
{
	struct reading reading = { .arena = arena, .manifest = manifest };
	struct image_facts facts = { .os = "", .arch = "" };
	AUTO(json_doc) *doc = NULL;

	if (config.at && !parse_config(config, &doc, &state, err))
		return false;
	if (config.at && state == IMAGE_CONFIG_READ)
		reading.config = json_root(doc);
	read_manifest(&reading, manifest_size, &facts);
	if (reading.config)
		read_config(&reading, &facts);
	read_texts(&reading, &facts);
	facts.config = reading.wrong ? IMAGE_CONFIG_BROKEN : state;
	if (reading.full)
		return error_set(err, ERROR_TOO_LARGE, NULL, "the facts of an image do not fit");
	*ret = facts;
	return true;
}

/* The compact form. */

static void put_digest(struct buf *into, const struct digest *digest)
{
	pack_bin(into, str_from((const char *)digest->raw, digest->alg == HASH_SHA512 ? 64 : 32));
}

static void put_links(struct buf *into, const struct image_layer *list, size_t len)
{
	pack_array(into, 2 * len);
	for (size_t i = 0; i < len; i++) {
		put_digest(into, &list[i].digest);
		pack_uint(into, list[i].size);
	}
}

static void put_text(struct buf *into, const char *text)
{
	pack_str(into, str_of(text));
}

#define ROW_FIELDS 6

static void put_history(struct buf *into, const struct image_facts *facts)
{
	pack_array(into, ROW_FIELDS * facts->history_len);
	for (size_t i = 0; i < facts->history_len; i++) {
		const struct image_history *row = &facts->history[i];

		put_text(into, row->created_by);
		put_text(into, row->author);
		put_text(into, row->comment);
		pack_int(into, row->created_ms);
		pack_bool(into, row->empty_layer);
		pack_uint(into, row->layer == IMAGE_NO_LAYER ? 0 : row->layer + 1);
	}
}

/* Texts of the facts, in the order of the compact form. */
#define TEXTS 13
static void list_texts(struct image_facts *facts, const char **into[TEXTS])
{
	const char **list[TEXTS] = { &facts->media_type, &facts->artifact_type, &facts->own_type, &facts->os,
		&facts->arch, &facts->title, &facts->description, &facts->licenses, &facts->labels,
		&facts->source, &facts->documentation, &facts->vendor, &facts->authors };

	memcpy(into, list, sizeof(list));
}

#define FIELDS (13 + TEXTS)

void image_facts_encode(const struct image_facts *facts, struct buf *into)
{
	struct image_facts copy = *facts;
	const char **texts[TEXTS];

	list_texts(&copy, texts);
	pack_array(into, FIELDS);
	pack_uint(into, FORMAT);
	pack_uint(into, facts->kind);
	for (size_t i = 0; i < TEXTS; i++)
		put_text(into, *texts[i]);
	pack_uint(into, facts->size);
	pack_int(into, facts->created_ms);
	pack_int(into, facts->noted_ms);
	pack_uint(into, facts->config);
	put_links(into, &(struct image_layer){ facts->config_digest, facts->config_size },
		facts->has_config ? 1 : 0);
	put_links(into, &(struct image_layer){ facts->subject, 0 }, facts->has_subject ? 1 : 0);
	put_links(into, facts->layers, facts->layers_len);
	put_links(into, facts->members, facts->members_len);
	pack_bool(into, facts->history_differs);
	put_history(into, facts);
	pack_array(into, 2 * facts->annotations_len);
	for (size_t i = 0; i < facts->annotations_len; i++) {
		put_text(into, facts->annotations[i].key);
		put_text(into, facts->annotations[i].value);
	}
}

/* And back: what does not fit is remembered until the end. */
struct decoding {
	struct arena *arena;
	const struct pack_node *root;
	size_t at;
	bool wrong, full; /* full: the arena, and so wrong */
};

static const struct pack_node *next(struct decoding *d)
{
	return pack_at(d->root, d->at++);
}

static uint64_t number(struct decoding *d, const struct pack_node *node, uint64_t max)
{
	uint64_t n = 0;

	d->wrong |= !pack_get_uint(node, &n) || n > max;
	return n;
}

static int64_t moment(struct decoding *d, const struct pack_node *node)
{
	int64_t n = 0;

	d->wrong |= !pack_get_int(node, &n);
	return n;
}

static bool truth(struct decoding *d, const struct pack_node *node)
{
	bool is = false;

	d->wrong |= !pack_get_bool(node, &is);
	return is;
}

static const char *text(struct decoding *d, const struct pack_node *node)
{
	struct str s = STR_NONE;
	const char *copy = "";

	d->wrong |= !pack_get_str(node, &s) || s.len > 2 * (size_t)IMAGE_TEXT_MAX;
	if (!d->wrong && s.len)
		copy = arena_text(d->arena, s);
	d->full |= !copy;
	d->wrong |= d->full;
	return copy ? copy : "";
}

static void *list(struct decoding *d, size_t len, size_t size)
{
	void *at = len && !d->wrong ? arena_take(d->arena, len * size) : NULL;

	d->full |= len && !d->wrong && !at;
	d->wrong |= d->full;
	return at;
}

static void get_digest(struct decoding *d, const struct pack_node *node, struct digest *into)
{
	struct str raw = STR_NONE;

	d->wrong |= !pack_get_str(node, &raw) || (raw.len != 32 && raw.len != 64);
	if (d->wrong)
		return;
	into->alg = raw.len == 64 ? HASH_SHA512 : HASH_SHA256;
	memcpy(into->raw, raw.at, raw.len);
}

/* How many rows of `fields` elements each the next array has. */
static size_t rows(struct decoding *d, size_t fields, size_t max, const struct pack_node **ret)
{
	size_t len;

	*ret = next(d);
	len = pack_len(*ret);
	d->wrong |= !pack_is_array(*ret) || len % fields || len / fields > max;
	return d->wrong ? 0 : len / fields;
}

static const struct image_layer *get_links(struct decoding *d, size_t max, size_t *ret_len)
{
	const struct pack_node *node;
	size_t len = rows(d, 2, max, &node);
	struct image_layer *into = list(d, len, sizeof(*into));

	for (size_t i = 0; into && i < len; i++) {
		get_digest(d, pack_at(node, 2 * i), &into[i].digest);
		into[i].size = number(d, pack_at(node, 2 * i + 1), UINT64_MAX);
	}
	*ret_len = into ? len : 0;
	return into;
}

static void get_history(struct decoding *d, struct image_facts *facts)
{
	const struct pack_node *node;
	size_t len = rows(d, ROW_FIELDS, IMAGE_HISTORY_MAX, &node);
	struct image_history *into = list(d, len, sizeof(*into));

	for (size_t i = 0; into && i < len; i++) {
		uint64_t layer;

		into[i].created_by = text(d, pack_at(node, ROW_FIELDS * i));
		into[i].author = text(d, pack_at(node, ROW_FIELDS * i + 1));
		into[i].comment = text(d, pack_at(node, ROW_FIELDS * i + 2));
		into[i].created_ms = moment(d, pack_at(node, ROW_FIELDS * i + 3));
		into[i].empty_layer = truth(d, pack_at(node, ROW_FIELDS * i + 4));
		layer = number(d, pack_at(node, ROW_FIELDS * i + 5), facts->layers_len);
		into[i].layer = layer ? (size_t)layer - 1 : IMAGE_NO_LAYER;
	}
	facts->history = into;
	facts->history_len = into ? len : 0;
}

static void get_annotations(struct decoding *d, struct image_facts *facts)
{
	const struct pack_node *node;
	size_t len = rows(d, 2, ANNOTATIONS_MAX, &node);
	struct annotation *into = list(d, len, sizeof(*into));

	for (size_t i = 0; into && i < len; i++) {
		into[i].key = (char *)(uintptr_t)text(d, pack_at(node, 2 * i));
		into[i].value = (char *)(uintptr_t)text(d, pack_at(node, 2 * i + 1));
	}
	facts->annotations = into;
	facts->annotations_len = into ? len : 0;
}

static void get_numbers(struct decoding *d, struct image_facts *facts)
{
	facts->size = number(d, next(d), UINT64_MAX);
	facts->created_ms = moment(d, next(d));
	facts->noted_ms = moment(d, next(d));
	facts->config = (enum image_config)number(d, next(d), IMAGE_CONFIG_BROKEN);
}

static void get_lists(struct decoding *d, struct image_facts *facts)
{
	const struct image_layer *one;
	size_t len;

	one = get_links(d, 1, &len);
	facts->has_config = len;
	if (len) {
		facts->config_digest = one->digest;
		facts->config_size = one->size;
	}
	one = get_links(d, 1, &len);
	facts->has_subject = len;
	if (len)
		facts->subject = one->digest;
	facts->layers = get_links(d, MANIFEST_DESCRIPTORS_MAX, &facts->layers_len);
	facts->members = get_links(d, MANIFEST_DESCRIPTORS_MAX, &facts->members_len);
	facts->history_differs = truth(d, next(d));
	get_history(d, facts);
	get_annotations(d, facts);
}

bool image_facts_decode(struct str bytes, struct arena *arena, struct image_facts *ret, struct error *err)
{
	struct image_facts facts = { 0 };
	struct decoding d = { .arena = arena };
	AUTO(pack_doc) *doc = NULL;
	const char **texts[TEXTS];

	if (bytes.len > IMAGE_FACTS_STORED_MAX || !pack_parse_within(bytes, 100000, &doc, err))
		return error_set(err, ERROR_INVALID, NULL, "these are no facts of an image");
	d.root = pack_root(doc);
	d.wrong = pack_len(d.root) != FIELDS || !pack_is_array(d.root) ||
		  number(&d, next(&d), FORMAT) != FORMAT;
	facts.kind = (enum manifest_kind)number(&d, next(&d), MANIFEST_INDEX);
	list_texts(&facts, texts);
	for (size_t i = 0; i < TEXTS; i++)
		*texts[i] = text(&d, next(&d));
	get_numbers(&d, &facts);
	get_lists(&d, &facts);
	if (d.full)
		return error_set(err, ERROR_TOO_LARGE, NULL, "the facts of an image do not fit");
	if (d.wrong)
		return error_set(err, ERROR_INVALID, NULL, "these are no facts of an image");
	*ret = facts;
	return true;
}
