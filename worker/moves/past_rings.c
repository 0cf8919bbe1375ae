/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/moves/past_rings.h"

#include "common/check.h"
#include "common/json.h"
#include "worker/storage/store.h"

#define FORMAT 1
#define NOTE   STR(".rings")

void past_rings_fini(struct past_rings *rings)
{
	for (size_t i = 0; i < rings->len; i++)
		ring_free(rings->at[i]);
	*rings = (struct past_rings){ .len = 0 };
}

/* Reading. */

static bool read_members(
	const struct json *list, struct ring_member *members, char **texts, size_t *texts_len, size_t len)
{
	static const char *const keys[] = { "id", "url", "tenants" };

	for (size_t i = 0; i < len; i++) {
		const struct json *row = json_at(list, i);
		char *at[3];

		if (json_kind(row) != JSON_OBJECT)
			return false;
		for (size_t k = 0; k < 3; k++)
			at[k] = texts[(*texts_len)++] = str_dup(json_str(json_find(row, keys[k])));
		members[i] = (struct ring_member){ .id = at[0], .url = at[1], .tenants = at[2] };
		if (!json_get_bool(json_find(row, "active"), &members[i].active))
			return false;
	}
	return true;
}

static bool read_ring(const struct json *node, struct ring **ret, struct error *err)
{
	const struct json *list = json_find(node, "members");
	size_t len = json_len(list), texts_len = 0;
	struct ring_member *members;
	char **texts;
	int64_t epoch = 0, algorithm = 0;
	uint8_t key[16];
	bool ok;

	if (len > RING_MEMBERS_MAX || !json_get_int(json_find(node, "epoch"), &epoch) || epoch < 0 ||
		!json_get_int(json_find(node, "algorithm"), &algorithm) ||
		(algorithm != RING_MODULO && algorithm != RING_SLOTS_RENDEZVOUS) ||
		!str_unhex(json_str(json_find(node, "key")), key, sizeof(key)))
		return error_set(err, ERROR_INTERNAL, NULL, "a ring of the note .rings is damaged");
	members = xnew_array(struct ring_member, len + 1);
	texts = xnew_array(char *, 3 * len + 1);
	ok = read_members(list, members, texts, &texts_len, len)
		     ? ring_new(ret, (uint64_t)epoch, (enum ring_algorithm)algorithm, key, members, len, err)
		     : error_set(err, ERROR_INTERNAL, NULL, "a member in the note .rings is damaged");
	for (size_t i = 0; i < texts_len; i++)
		free(texts[i]);
	free(texts);
	free(members);
	return ok;
}

static bool read_all(struct str text, struct past_rings *into, struct error *err)
{
	AUTO(json_doc) *doc = NULL;
	const struct json *root, *list;
	int64_t format = 0;

	if (!json_parse_own(text, &doc, err))
		return false;
	root = json_root(doc);
	list = json_find(root, "rings");
	if (!json_get_int(json_find(root, "format"), &format) || format != FORMAT)
		return error_set(err, ERROR_INTERNAL, NULL,
			"the note .rings has format %lld, this zot-worker knows %d", (long long)format,
			FORMAT);
	if (!json_get_bool(json_find(root, "whole"), &into->whole) || json_len(list) > PAST_RINGS_MAX)
		return error_set(err, ERROR_INTERNAL, NULL, "the note .rings is damaged");
	for (size_t i = 0; i < json_len(list); i++) {
		if (!read_ring(json_at(list, i), &into->at[into->len], err))
			return false;
		into->len++;
	}
	return true;
}

bool past_rings_parse(struct str text, struct past_rings *ret, struct error *err)
{
	struct past_rings found = { .len = 0 };

	if (!read_all(text, &found, err)) {
		past_rings_fini(&found);
		return false;
	}
	*ret = found;
	return true;
}

bool past_rings_load(struct store *store, struct past_rings *ret, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(PAST_RINGS_TEXT_MAX);
	struct error cause;

	if (!store_note_get(store, NOTE, &text, &cause)) {
		if (cause.kind != ERROR_UNKNOWN) {
			*err = cause;
			return false;
		}
		*ret = (struct past_rings){ .len = 0 };
		return true;
	}
	return past_rings_parse(buf_str(&text), ret, err);
}

/* Writing. */

static void write_ring(const struct ring *ring, struct json_writer *w)
{
	char key[33];

	str_hex(ring_hash_key(ring), 16, key);
	json_open_object(w);
	json_put_uint(w, "epoch", ring_epoch(ring));
	json_put_int(w, "algorithm", ring_algorithm(ring));
	json_put_text(w, "key", key);
	json_key(w, STR("members"));
	json_open_array(w);
	for (size_t i = 0; i < ring_len(ring); i++) {
		const struct ring_member *member = ring_at(ring, i);

		json_open_object(w);
		json_put_text(w, "id", member->id);
		json_put_text(w, "url", member->url);
		json_put_text(w, "tenants", member->tenants);
		json_put_bool(w, "active", member->active);
		json_close_object(w);
	}
	json_close_array(w);
	json_close_object(w);
}

void past_rings_format(const struct past_rings *rings, struct buf *into)
{
	struct json_writer w = json_writer(into);

	json_open_object(&w);
	json_put_int(&w, "format", FORMAT);
	json_put_bool(&w, "whole", rings->whole);
	json_key(&w, STR("rings"));
	json_open_array(&w);
	for (size_t i = 0; i < rings->len; i++)
		write_ring(rings->at[i], &w);
	json_close_array(&w);
	json_close_object(&w);
}

static bool save(const struct past_rings *rings, struct store *store, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(PAST_RINGS_TEXT_MAX);

	past_rings_format(rings, &text);
	return buf_check(&text, "the note .rings", err) && store_note_put(store, NOTE, buf_str(&text), err);
}

/* Changing: what is in memory follows what is on disk. */

void past_rings_copy(struct past_rings *into, const struct past_rings *from)
{
	*into = (struct past_rings){ .len = from->len, .whole = from->whole };
	for (size_t i = 0; i < from->len; i++)
		into->at[i] = ring_ref(from->at[i]);
}

static void replace(struct past_rings *rings, const struct past_rings *with)
{
	struct past_rings made;

	past_rings_copy(&made, with);
	past_rings_fini(rings);
	*rings = made;
}

struct ring *past_rings_newest(const struct past_rings *rings)
{
	return rings->len ? rings->at[rings->len - 1] : NULL;
}

bool past_rings_adopt(
	struct past_rings *rings, struct store *store, struct ring *ring, bool led, struct error *err)
{
	const struct ring *newest = past_rings_newest(rings);
	struct past_rings next = *rings;

	if (newest && ring_same(newest, ring))
		return true;
	/* One that was not seen in between may have given anything to anybody. */
	next.whole = next.whole && newest && (!led || ring_epoch(ring) == ring_epoch(newest) + 1);
	if (next.len == PAST_RINGS_MAX) {
		next.whole = false;
		for (size_t i = 1; i < PAST_RINGS_MAX; i++)
			next.at[i - 1] = next.at[i];
		next.len--;
	}
	next.at[next.len++] = ring;
	if (!save(&next, store, err))
		return error_add(err, "the ring of now");
	replace(rings, &next);
	return true;
}

bool past_rings_learn(
	struct past_rings *rings, struct store *store, const struct past_rings *told, struct error *err)
{
	const struct ring *newest = past_rings_newest(rings), *theirs = past_rings_newest(told);
	struct past_rings next = *told;

	if (!told->whole || !newest || !theirs || ring_mark(newest) != ring_mark(theirs))
		return error_set(err, ERROR_INVALID, NULL, "it does not know the rings before ours");
	/* As we spell it. */
	next.at[next.len - 1] = past_rings_newest(rings);
	if (!save(&next, store, err))
		return false;
	replace(rings, &next);
	return true;
}

bool past_rings_settled(struct past_rings *rings, struct store *store, struct error *err)
{
	struct past_rings next = { .len = 1, .whole = true };

	if (!rings->len || (rings->len == 1 && rings->whole))
		return true;
	next.at[0] = past_rings_newest(rings);
	if (!save(&next, store, err))
		return false;
	replace(rings, &next);
	return true;
}

/* Looking. */

bool past_rings_is_past(const struct past_rings *rings, uint64_t mark)
{
	for (size_t i = 0; i + 1 < rings->len; i++)
		if (ring_mark(rings->at[i]) == mark)
			return ring_mark(past_rings_newest(rings)) != mark;
	return false;
}

bool past_rings_may_hold(const struct past_rings *rings, const char *member, struct str name)
{
	for (size_t i = 0; i < rings->len; i++) {
		int owner = ring_owner(rings->at[i], name);

		if (owner != RING_NOBODY && !strcmp(ring_at(rings->at[i], (size_t)owner)->id, member))
			return true;
	}
	return !rings->whole;
}
