/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state_pack - the state on the wire. Applying trusts nothing: the whole document is decoded and
 * checked before the first table is built, and the old state is never touched.
 */
#include <inttypes.h>

#include "common/check.h"
#include "common/crypto.h"
#include "common/gentle.h"
#include "proto/state.h"

#define FORMAT_WITHOUT_DIGEST 1
/* An entity takes more memory than this for each of its nodes. */
#define NODE_SHARE 6

/* ---- out ---- */

static void write_history(const struct history *history, struct buf *into)
{
	pack_str(into, STR("cluster"));
	pack_str(into, str_of(history->cluster));
	pack_str(into, STR("generation"));
	pack_uint(into, history->generation);
}

static void write_head(const char *kind, uint64_t from, const struct state *to, size_t len, struct buf *into)
{
	const struct history *history = state_history(to);

	pack_map(into, *history->cluster ? 8 : 6);
	pack_str(into, STR("v"));
	pack_uint(into, STATE_FORMAT);
	pack_str(into, STR("kind"));
	pack_str(into, str_of(kind));
	pack_str(into, STR("from"));
	pack_uint(into, from);
	pack_str(into, STR("revision"));
	pack_uint(into, state_revision(to));
	if (*history->cluster)
		write_history(history, into);
	pack_str(into, STR("entities"));
	pack_array(into, len);
}

static void write_digest(const uint8_t digest[STATE_DIGEST_BYTES], struct buf *into)
{
	pack_str(into, STR("digest"));
	pack_bin(into, str_from((const char *)digest, STATE_DIGEST_BYTES));
}

static void write_told(const struct entity *entity, struct entity_hash *sum, struct buf *into)
{
	size_t start = into->len;

	gentle_step();
	entity_encode(entity, into);
	if (!into->failed)
		entity_hash_add(sum, entity_hash_bytes(str_from(into->at + start, into->len - start)));
}

/* How many of a kind are told to workers. */
static size_t told(const struct state *state, enum entity_kind kind)
{
	return entity_kind_is_leaders(kind) ? 0 : state_count(state, kind);
}

bool state_encode_full(const struct state *state, struct buf *into)
{
	struct entity_hash sum = { 0 };
	uint8_t digest[STATE_DIGEST_BYTES];
	size_t len = 0;

	for (unsigned kind = 0; kind < ENTITY_KINDS; kind++)
		len += told(state, (enum entity_kind)kind);
	write_head("full", 0, state, len, into);
	for (unsigned kind = 0; kind < ENTITY_KINDS; kind++) {
		for (size_t i = 0; i < told(state, (enum entity_kind)kind); i++)
			write_told(state_at(state, (enum entity_kind)kind, i), &sum, into);
	}
	entity_hash_put(sum, digest);
	write_digest(digest, into);
	return state_is(state, state_revision(state), digest);
}

void state_encode_delta(
	uint64_t from, const struct state *to, struct entity *const *changed, size_t len, struct buf *into)
{
	size_t told = 0;

	for (size_t i = 0; i < len; i++)
		told += !entity_kind_is_leaders(entity_kind(changed[i]));
	write_head("delta", from, to, told, into);
	for (size_t i = 0; i < len; i++)
		if (!entity_kind_is_leaders(entity_kind(changed[i])))
			entity_encode(changed[i], into);
	write_digest(state_digest(to), into);
}

/* ---- in ---- */

struct head {
	bool full, has_digest;
	uint64_t from, revision;
	struct history history;
	uint8_t digest[STATE_DIGEST_BYTES]; /* where has_digest */
	size_t len;
};

/* The entities of a document while it is decoded. */
struct list {
	struct entity **at;
	size_t len;
	size_t shared;      /* so many are the old state's */
	size_t most, bytes; /* of memory */
};

static void list_fini(struct list *list)
{
	for (size_t i = 0; i < list->len; i++)
		entity_free(list->at[i]);
	free(list->at);
}

static bool invalid(struct error *err, const char *why)
{
	return error_set(err, ERROR_INVALID, NULL, "%s", why);
}

/* Without a digest only what lies in a file of before: there is no old state then. */
static bool read_digest(
	const struct pack_node *root, const struct state *old, struct head *head, struct error *err)
{
	struct str digest;
	uint64_t format;

	if (!pack_get_uint(pack_find(root, "v"), &format))
		return invalid(err, "v: must be 2");
	if (format > STATE_FORMAT)
		return error_set(err, ERROR_INVALID, NULL,
			"v: is %" PRIu64 ", of a newer zot-leader; this one (" ZOT_VERSION
			") reads %d at most and needs an upgrade",
			format, STATE_FORMAT);
	if (format != STATE_FORMAT && (format != FORMAT_WITHOUT_DIGEST || old))
		return invalid(err, "v: must be 2");
	if (format == FORMAT_WITHOUT_DIGEST)
		return true;
	if (!pack_get_str(pack_find(root, "digest"), &digest) || digest.len != sizeof(head->digest))
		return invalid(err, "digest: must be 32 bytes");
	memcpy(head->digest, digest.at, digest.len);
	head->has_digest = true;
	return true;
}

/* Both, or neither. */
static bool read_history(const struct pack_node *root, struct history *ret, struct error *err)
{
	struct str cluster;
	uint64_t generation;

	if (!pack_find(root, "cluster") && !pack_find(root, "generation"))
		return true;
	if (!pack_get_str(pack_find(root, "cluster"), &cluster) ||
		!pack_get_uint(pack_find(root, "generation"), &generation) ||
		!history_set(ret, cluster, generation))
		return invalid(err, "cluster, generation: must be 32 hex digits and a number above 0");
	return true;
}

/* The document's map without its entities, and these: no memory is taken for the nodes of all of them. */
struct parts {
	struct buf others;
	bool has_entities;
	size_t len;
	struct str entities;
};

static bool is_text(struct str node, const char *text)
{
	AUTO(pack_doc) *doc = NULL;
	struct error err;
	struct str is;

	return pack_parse(node, &doc, &err) && pack_get_str(pack_root(doc), &is) && str_is(is, text);
}

/* Of bytes that were checked. */
static void take_apart(struct str bytes, struct parts *parts)
{
	AUTO_FINI(buf) pairs = buf_limit(bytes.len);
	struct str rest, key, value;
	size_t pairs_len, taken = 0;

	if (!pack_open_map(bytes, &pairs_len, &rest)) {
		buf_add(&parts->others, bytes);
		return;
	}
	while (pack_next(&rest, &key) && pack_next(&rest, &value)) {
		if (!taken && is_text(key, "entities")) {
			parts->has_entities = pack_open_array(value, &parts->len, &parts->entities);
			taken = 1;
			continue;
		}
		buf_add(&pairs, key);
		buf_add(&pairs, value);
	}
	pack_map(&parts->others, pairs_len - taken);
	buf_add(&parts->others, buf_str(&pairs));
}

static bool read_head(const struct pack_node *root, const struct parts *parts, const struct state *old,
	struct head *ret, struct error *err)
{
	struct head head = { .len = parts->len };
	struct str kind;

	if (!read_digest(root, old, &head, err) || !read_history(root, &head.history, err))
		return false;
	if (!pack_get_str(pack_find(root, "kind"), &kind) || !(str_is(kind, "full") || str_is(kind, "delta")))
		return invalid(err, "kind: must be full or delta");
	head.full = str_is(kind, "full");
	if (!pack_get_uint(pack_find(root, "from"), &head.from))
		return invalid(err, "from: must be a revision");
	if (!pack_get_uint(pack_find(root, "revision"), &head.revision) || head.revision > INT64_MAX)
		return invalid(err, "revision: must be a revision");
	if (!parts->has_entities)
		return invalid(err, "entities: must be a list");
	if (head.len > STATE_ENTITIES_MAX)
		return error_set(err, ERROR_TOO_LARGE, NULL, "%zu entities; at most %u are allowed", head.len,
			STATE_ENTITIES_MAX);
	*ret = head;
	return true;
}

static bool check_follows(const struct head *head, const struct state *old, struct error *err)
{
	uint64_t at = old ? state_revision(old) : 0;

	if (head->full)
		return head->from == 0 || invalid(err, "from: a full state comes from 0");
	if (head->from != at)
		return error_set(err, ERROR_CONFLICT, NULL,
			"a delta from revision %llu does not follow revision %llu",
			(unsigned long long)head->from, (unsigned long long)at);
	return head->revision >= head->from || invalid(err, "revision: goes backwards");
}

static bool check_entity(const struct head *head, const struct entity *entity, struct error *err)
{
	uint64_t revision = entity_revision(entity);

	if (entity_kind_is_leaders(entity_kind(entity)))
		return error_set(err, ERROR_INVALID, NULL, "a state holds no entity of kind %s",
			entity_kind_name(entity_kind(entity)));
	if (head->full && entity_is_deleted(entity))
		return invalid(err, "a full state holds no tombstones");
	if (revision > head->revision || (!head->full && revision <= head->from))
		return error_set(err, ERROR_INVALID, NULL, "revision %llu is out of the document's",
			(unsigned long long)revision);
	return true;
}

static bool check_bytes(size_t bytes, size_t most, struct error *err)
{
	return bytes <= most || error_set(err, ERROR_TOO_LARGE, NULL,
					"%zu bytes of memory; at most %zu are allowed", bytes, most);
}

/* The old state's one that was told in these bytes, or NULL: it need not be made again. */
static struct entity *told_before(
	const struct state *old, const struct pack_node *node, struct str bytes, struct error *err)
{
	enum entity_kind kind;
	struct str id;
	struct entity *known = NULL;
	struct entity_hash told, had;

	if (old && entity_decode_name(node, &kind, &id, err))
		known = state_find(old, kind, id);
	if (!known)
		return NULL;
	told = entity_hash_bytes(bytes);
	had = entity_hash(known);
	return memcmp(&told, &had, sizeof(told)) == 0 ? entity_ref(known) : NULL;
}

static bool read_entity(struct str bytes, const struct state *old, struct list *list, struct error *err)
{
	AUTO(pack_doc) *doc = NULL;
	struct entity **into = &list->at[list->len];

	if (!pack_parse(bytes, &doc, err))
		return false;
	*into = told_before(old, pack_root(doc), bytes, err);
	if (*into)
		list->shared++;
	else if (!entity_decode_told(pack_root(doc), into, err))
		return false;
	list->len++;
	return true;
}

/* old: whose entities may be told again, or NULL. */
static bool read_entities(const struct head *head, struct str rest, const struct state *old,
	struct list *list, struct error *err)
{
	struct str bytes;

	list->at = xnew_array(struct entity *, head->len + 1);
	while (pack_next(&rest, &bytes)) {
		size_t at = list->len;

		gentle_step();
		if (!read_entity(bytes, old, list, err))
			return error_add(err, "entities[%zu]", at);
		list->bytes += entity_bytes(list->at[at]);
		if (!check_bytes(list->bytes, list->most, err))
			return false;
		if (!check_entity(head, list->at[at], err))
			return error_add(err, "entities[%zu]", at);
	}
	return true;
}

static int by_name(const void *a, const void *b)
{
	const struct entity *const *x = a;
	const struct entity *const *y = b;
	int order = (int)entity_kind(*x) - (int)entity_kind(*y);

	return order ? order : str_compare(entity_id(*x), entity_id(*y));
}

/* As a full state is told. */
static bool is_in_order(const struct list *list)
{
	for (size_t i = 1; i < list->len; i++)
		if (by_name(&list->at[i - 1], &list->at[i]) > 0)
			return false;
	return true;
}

static bool check_unique(struct list *list, struct error *err)
{
	if (!is_in_order(list))
		qsort(list->at, list->len, sizeof(*list->at), by_name);
	for (size_t i = 1; i < list->len; i++) {
		if (!by_name(&list->at[i - 1], &list->at[i]))
			return error_set(err, ERROR_INVALID, NULL, "%s \"%.*s\" is there twice",
				entity_kind_name(entity_kind(list->at[i])), STR_ARGS(entity_id(list->at[i])));
	}
	return true;
}

static bool check_size(const struct state *state, size_t most, struct error *err)
{
	size_t len = state_entities(state);

	if (!check_bytes(state_bytes(state), most, err))
		return false;
	return len <= STATE_ENTITIES_MAX ||
	       error_set(err, ERROR_TOO_LARGE, NULL, "%zu entities; at most %u are allowed", len,
		       STATE_ENTITIES_MAX);
}

static bool check_digest(const struct head *head, const struct state *state, struct error *err)
{
	char wanted[STATE_DIGEST_TEXT], got[STATE_DIGEST_TEXT];

	if (!head->has_digest || state_is(state, head->revision, head->digest))
		return true;
	str_hex(head->digest, sizeof(head->digest), wanted);
	state_digest_hex(state, got);
	return error_set(err, ERROR_CONFLICT, NULL,
		"revision %llu with the digest %s comes of it, and the leader's has %s",
		(unsigned long long)head->revision, got, wanted);
}

static void parts_fini(struct parts *parts)
{
	buf_fini(&parts->others);
}

static bool read_document(
	struct str bytes, const struct state *old, struct head *head, struct list *list, struct error *err)
{
	AUTO_FINI(parts) parts = { .others = buf_limit(bytes.len) };
	AUTO(pack_doc) *doc = NULL;

	if (!pack_check_within(bytes, list->most / NODE_SHARE, err))
		return false;
	take_apart(bytes, &parts);
	return pack_parse(buf_str(&parts.others), &doc, err) &&
	       read_head(pack_root(doc), &parts, old, head, err) && check_follows(head, old, err) &&
	       read_entities(head, parts.entities, head->full ? old : NULL, list, err) &&
	       check_unique(list, err);
}

/* ---- a whole one as a change of the old one ---- */

static void take_rest(const struct state *old, enum entity_kind kind, size_t *at, struct str before,
	uint64_t revision, struct list *into)
{
	const struct entity *there;

	while ((there = state_at(old, kind, *at)) &&
		(!before.at || str_compare(entity_id(there), before) < 0)) {
		into->at[into->len++] = entity_new_deleted(kind, entity_id(there), revision);
		(*at)++;
	}
}

/* What makes the old state to this one: what came, and tombstones of what is not there any more. The list is in order. */
static void find_changes(
	const struct state *old, const struct list *list, uint64_t revision, struct list *into)
{
	size_t next = 0;

	into->at = xnew_array(struct entity *, list->len + state_entities(old) + 1);
	for (unsigned kind = 0; kind < ENTITY_KINDS; kind++) {
		size_t at = 0;

		for (; next < list->len && entity_kind(list->at[next]) == kind; next++) {
			struct entity *came = list->at[next], *there;

			gentle_step();
			take_rest(old, (enum entity_kind)kind, &at, entity_id(came), revision, into);
			there = state_at(old, (enum entity_kind)kind, at);
			at += there && str_equal(entity_id(there), entity_id(came));
			if (there != came)
				into->at[into->len++] = entity_ref(came);
		}
		take_rest(old, (enum entity_kind)kind, &at, STR_NONE, revision, into);
	}
}

/* Where most of it is there already it shares its trees with the old one too: whoever has what was made of a kind sees by them that it is the
 * same, and there is little to free. */
static struct state *make(const struct head *head, const struct list *list, const struct state *old)
{
	AUTO_FINI(list) changes = { 0 };
	AUTO(state) *empty = NULL;

	if (head->full && list->shared <= list->len / 2) {
		empty = state_new();
		return state_change(empty, list->at, list->len, head->revision);
	}
	if (!head->full)
		return state_change(old, list->at, list->len, head->revision);
	find_changes(old, list, head->revision, &changes);
	return state_change(old, changes.at, changes.len, head->revision);
}

bool state_apply(struct str bytes, const struct state *old, struct state **ret, struct error *err)
{
	bool full;

	return state_apply_within(STATE_BYTES_MAX, bytes, old, ret, &full, err);
}

bool state_apply_within(size_t most, struct str bytes, const struct state *old, struct state **ret,
	bool *ret_full, struct error *err)
{
	AUTO_FINI(list) list = { .most = most };
	AUTO(state) *empty = state_new();
	AUTO(state) *state = NULL;
	struct head head = { 0 };

	if (bytes.len > most)
		return error_set(err, ERROR_TOO_LARGE, NULL, "state: %zu bytes; at most %zu are allowed",
			bytes.len, most);
	if (!read_document(bytes, old, &head, &list, err))
		return error_add(err, "state");
	state = make(&head, &list, old ? old : empty);
	state_set_history(state, &head.history);
	if (!check_size(state, most, err) || !check_digest(&head, state, err))
		return error_add(err, "state");
	*ret_full = head.full;
	*ret = TAKE(state);
	return true;
}

/* ---- sealed ---- */

#define SEAL     "ZOTSTATE"
#define SEAL_LEN (sizeof(SEAL) - 1)
#define VERSION  '1'
#define HEAD_LEN (SEAL_LEN + 1 + 32)

void state_seal(const struct state *state, struct buf *into)
{
	AUTO_FINI(buf) body = buf_limit(STATE_BYTES_MAX);
	uint8_t digest[HASH_MAX];

	state_encode_full(state, &body);
	hash_bytes(HASH_SHA256, body.at, body.len, digest);
	buf_puts(into, SEAL);
	buf_putc(into, VERSION);
	buf_append(into, digest, 32);
	buf_add(into, buf_str(&body));
	into->failed |= body.failed;
}

bool state_unseal(struct str bytes, struct state **ret, struct error *err)
{
	uint8_t digest[HASH_MAX];
	struct str body = bytes;

	if (!str_skip(&body, SEAL) || bytes.len < HEAD_LEN)
		return invalid(err, "not a state file");
	if (*body.at != VERSION)
		return error_set(err, ERROR_INVALID, NULL,
			"a state file of version %.1s, this program knows %c: a newer one made it", body.at,
			VERSION);
	body = str_from(bytes.at + HEAD_LEN, bytes.len - HEAD_LEN);
	hash_bytes(HASH_SHA256, body.at, body.len, digest);
	if (memcmp(digest, bytes.at + SEAL_LEN + 1, 32) != 0)
		return invalid(err, "damaged, its digest does not match");
	return state_apply(body, NULL, ret, err);
}
