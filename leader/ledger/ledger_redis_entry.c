/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/ledger/ledger_redis_entry.h"

#include <string.h>

#define MEMBER_FIELDS  11
#define GRANT_FIELDS   5
#define LIFE_FIELDS    3
#define STAGING_FIELDS 3
/* Of a command of an entity: HSET, its key, its field, its body. */
#define BODY_AT 3
/* Of an entry that was read. */
#define MEMORY_MAX (2u * LEDGER_REDIS_ENTRY_MAX)

static bool damaged(struct error *err, const char *what)
{
	return error_set(err, ERROR_INVALID, NULL, "an entry of the log in Redis is damaged: its %s", what);
}

/* Effects. */

void ledger_redis_effects_init(struct ledger_redis_effects *effects)
{
	*effects = (struct ledger_redis_effects){ .commands = buf_limit(LEDGER_REDIS_ENTRY_MAX) };
}

void ledger_redis_effects_fini(struct ledger_redis_effects *effects)
{
	buf_fini(&effects->commands);
}

void ledger_redis_effect(struct ledger_redis_effects *effects, size_t words)
{
	pack_array(&effects->commands, words);
	effects->len++;
}

void ledger_redis_effect_word(struct ledger_redis_effects *effects, struct str word)
{
	pack_str(&effects->commands, word);
}

void ledger_redis_effects_encode(const struct ledger_redis_effects *effects, struct buf *into)
{
	pack_array(into, effects->len);
	buf_add(into, buf_str(&effects->commands));
	into->failed |= effects->commands.failed;
}

/* Members. */

static void put_text(struct buf *into, const char *text)
{
	pack_str(into, text ? str_of(text) : STR(""));
}

void ledger_redis_member_encode(const struct ledger_member *member, struct buf *into)
{
	pack_array(into, MEMBER_FIELDS);
	put_text(into, member->name);
	put_text(into, member->process);
	put_text(into, member->boot);
	put_text(into, member->url);
	put_text(into, member->zone);
	put_text(into, member->version);
	put_text(into, member->state);
	pack_uint(into, member->revision);
	pack_int(into, member->seen_wall_s);
	pack_int(into, member->lost_wall_s);
	put_text(into, member->tenants);
}

static bool get_text(const struct pack_node *node, struct arena *arena, char **ret)
{
	struct str text;

	if (!pack_get_str(node, &text) || memchr(text.at, '\0', text.len))
		return false;
	*ret = arena_text(arena, text);
	return *ret;
}

static bool get_flag(const struct pack_node *node, bool *ret)
{
	return !node || pack_get_bool(node, ret);
}

static bool get_number(const struct pack_node *node, uint64_t *ret)
{
	return !node || pack_get_uint(node, ret);
}

bool ledger_redis_member_decode(
	const struct pack_node *node, struct arena *arena, struct ledger_member *ret, struct error *err)
{
	struct ledger_member member = { 0 };
	char **const texts[] = { &member.name, &member.process, &member.boot, &member.url, &member.zone,
		&member.version, &member.state };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (!get_text(pack_at(node, i), arena, texts[i]))
			return damaged(err, "member");
	if (!pack_get_uint(pack_at(node, 7), &member.revision) ||
		!pack_get_int(pack_at(node, 8), &member.seen_wall_s) ||
		!pack_get_int(pack_at(node, 9), &member.lost_wall_s) ||
		!get_text(pack_at(node, 10), arena, &member.tenants))
		return damaged(err, "member");
	*ret = member;
	return true;
}

/* Content, out. */

static void put_grant(struct buf *into, const struct ledger_grant *grant)
{
	pack_array(into, GRANT_FIELDS);
	put_text(into, grant->boot);
	put_text(into, grant->apikey);
	put_text(into, grant->day);
	pack_uint(into, grant->granted);
	pack_uint(into, grant->used);
}

static void put_merge(struct buf *into, const struct ledger_merge *merge)
{
	pack_map(into, 11 + (merge->member != NULL));
	put_text(into, "worker"), put_text(into, merge->worker);
	put_text(into, "process"), put_text(into, merge->process);
	put_text(into, "boot"), put_text(into, merge->boot);
	put_text(into, "after"), pack_uint(into, merge->after);
	put_text(into, "seq"), pack_uint(into, merge->seq);
	put_text(into, "number"), pack_uint(into, merge->number);
	put_text(into, "finished"), pack_bool(into, merge->finished);
	put_text(into, "gone"), pack_bool(into, merge->gone);
	put_text(into, "registers"), pack_bool(into, merge->registers);
	put_text(into, "note"), pack_bin(into, merge->note.at ? merge->note : STR(""));
	put_text(into, "grants"), pack_array(into, merge->grants_len);
	for (size_t i = 0; i < merge->grants_len; i++)
		put_grant(into, &merge->grants[i]);
	if (merge->member)
		put_text(into, "member"), ledger_redis_member_encode(merge->member, into);
}

static void put_life(struct buf *into, const struct ledger_life *life)
{
	pack_array(into, LIFE_FIELDS);
	put_text(into, life->id);
	pack_uint(into, life->dealings);
	pack_bool(into, life->heard);
}

static void put_staging(struct buf *into, const struct ledger_staging *staging)
{
	pack_array(into, STAGING_FIELDS);
	pack_uint(into, staging->what);
	put_text(into, staging->token);
	pack_uint(into, staging->pieces);
}

void ledger_redis_content_encode(const struct ledger_entry *entry, uint64_t forgotten, struct buf *into)
{
	struct buf body = buf_limit(LEDGER_REDIS_ENTRY_MAX);
	size_t len = 0;

	if (entry->revision)
		len++, put_text(&body, "revision"), pack_uint(&body, entry->revision);
	if (entry->entities_len)
		len++, put_text(&body, "entities"), pack_uint(&body, entry->entities_len);
	if (forgotten)
		len++, put_text(&body, "forgotten"), pack_uint(&body, forgotten);
	if (entry->digest)
		len++, put_text(&body, "digest"), pack_bin(&body, str_from(entry->digest, ENTITY_HASH_BYTES));
	if (entry->merge)
		len++, put_text(&body, "merge"), put_merge(&body, entry->merge);
	if (entry->dealings)
		len++, put_text(&body, "dealings"), pack_uint(&body, entry->dealings);
	if (entry->member)
		len++, put_text(&body, "member"), ledger_redis_member_encode(entry->member, &body);
	if (entry->forgotten)
		len++, put_text(&body, "left"), put_text(&body, entry->forgotten);
	if (entry->life)
		len++, put_text(&body, "life"), put_life(&body, entry->life);
	if (entry->staging.what)
		len++, put_text(&body, "staging"), put_staging(&body, &entry->staging);
	if (entry->life_begins)
		len++, put_text(&body, "begins"), pack_bool(&body, true);
	if (entry->joins)
		len++, put_text(&body, "joins"), pack_bool(&body, true);
	pack_map(into, len);
	buf_add(into, buf_str(&body));
	into->failed |= body.failed;
	buf_fini(&body);
}

/* Content, in. */

static bool get_grants(const struct pack_node *node, struct ledger_redis_content *c)
{
	size_t len = pack_len(node);
	struct ledger_grant *grants = arena_take(&c->arena, (len + 1) * sizeof(*grants));

	if (!grants)
		return false;
	for (size_t i = 0; i < len; i++) {
		const struct pack_node *one = pack_at(node, i);
		struct str day;

		grants[i] = (struct ledger_grant){ 0 };
		if (!get_text(pack_at(one, 0), &c->arena, &grants[i].boot) ||
			!get_text(pack_at(one, 1), &c->arena, &grants[i].apikey) ||
			!pack_get_str(pack_at(one, 2), &day) ||
			!str_copy(day, grants[i].day, sizeof(grants[i].day)) ||
			!pack_get_uint(pack_at(one, 3), &grants[i].granted) ||
			!pack_get_uint(pack_at(one, 4), &grants[i].used))
			return false;
	}
	c->merge.grants = grants;
	c->merge.grants_len = len;
	return true;
}

static bool get_merge_texts(const struct pack_node *node, struct ledger_redis_content *c)
{
	char *worker, *process, *boot;

	if (!get_text(pack_find(node, "worker"), &c->arena, &worker) ||
		!get_text(pack_find(node, "process"), &c->arena, &process) ||
		!get_text(pack_find(node, "boot"), &c->arena, &boot))
		return false;
	c->merge.worker = worker;
	c->merge.process = process;
	c->merge.boot = boot;
	return true;
}

static bool get_merge(const struct pack_node *node, struct ledger_redis_content *c, struct error *err)
{
	struct ledger_merge *merge = &c->merge;
	const struct pack_node *member = pack_find(node, "member"), *note = pack_find(node, "note");
	struct str text = STR("");

	if (!get_merge_texts(node, c) || !get_number(pack_find(node, "after"), &merge->after) ||
		!get_number(pack_find(node, "seq"), &merge->seq) ||
		!get_number(pack_find(node, "number"), &merge->number) ||
		!get_flag(pack_find(node, "finished"), &merge->finished) ||
		!get_flag(pack_find(node, "gone"), &merge->gone) ||
		!get_flag(pack_find(node, "registers"), &merge->registers) ||
		(note && !pack_get_str(note, &text)) || !get_grants(pack_find(node, "grants"), c))
		return damaged(err, "report");
	merge->note = str_from(arena_text(&c->arena, text), text.len);
	if (!merge->note.at)
		return damaged(err, "note");
	c->entry.merge = merge;
	if (!member)
		return true;
	merge->member = &c->member;
	return ledger_redis_member_decode(member, &c->arena, &c->member, err);
}

static bool get_life(const struct pack_node *node, struct ledger_redis_content *c, struct error *err)
{
	struct str id;

	if (!pack_get_str(pack_at(node, 0), &id) || !str_copy(id, c->life.id, sizeof(c->life.id)) ||
		!pack_get_uint(pack_at(node, 1), &c->life.dealings) ||
		!pack_get_bool(pack_at(node, 2), &c->life.heard))
		return damaged(err, "life");
	c->entry.life = &c->life;
	return true;
}

static bool get_staging(const struct pack_node *node, struct ledger_staging *ret, struct error *err)
{
	struct str token;
	uint64_t what;

	if (!pack_get_uint(pack_at(node, 0), &what) || !what || what > LEDGER_STAGE_SETTLED ||
		!pack_get_str(pack_at(node, 1), &token) || memchr(token.at, '\0', token.len) ||
		!str_copy(token, ret->token, sizeof(ret->token)) ||
		!pack_get_uint(pack_at(node, 2), &ret->pieces))
		return damaged(err, "large write");
	ret->what = (enum ledger_staged)what;
	return true;
}

static bool get_entity(const struct pack_node *command, struct entity **ret, struct error *err)
{
	AUTO(pack_doc) *doc = NULL;
	struct str body;

	if (!pack_get_str(pack_at(command, BODY_AT), &body))
		return damaged(err, "entities");
	return pack_parse(body, &doc, err) && entity_decode(pack_root(doc), ret, err);
}

static bool get_entities(struct str effects, size_t len, struct ledger_redis_content *c, struct error *err)
{
	AUTO(pack_doc) *doc = NULL;
	struct entity **entities;

	if (!pack_parse(effects, &doc, err))
		return damaged(err, "effects");
	if (len > pack_len(pack_root(doc)))
		return damaged(err, "number of entities");
	entities = arena_take(&c->arena, (len + 1) * sizeof(struct entity *));
	if (!entities)
		return damaged(err, "number of entities");
	c->entry.entities = entities;
	for (size_t i = 0; i < len; i++) {
		if (!get_entity(pack_at(pack_root(doc), i), &entities[i], err))
			return false;
		c->entry.entities_len++;
	}
	return true;
}

static bool get_parts(const struct pack_node *root, struct ledger_redis_content *c, struct error *err)
{
	const struct pack_node *digest = pack_find(root, "digest"), *merge = pack_find(root, "merge");
	const struct pack_node *member = pack_find(root, "member"), *left = pack_find(root, "left");
	const struct pack_node *life = pack_find(root, "life"), *staging = pack_find(root, "staging");
	struct str bytes;
	char *name;

	if (digest) {
		if (!pack_get_str(digest, &bytes) || bytes.len != sizeof(c->digest))
			return damaged(err, "digest");
		memcpy(c->digest, bytes.at, bytes.len);
		c->entry.digest = c->digest;
	}
	if (left) {
		if (!get_text(left, &c->arena, &name))
			return damaged(err, "member that left");
		c->entry.forgotten = name;
	}
	if (member && merge)
		return damaged(err, "members");
	c->entry.member = member ? &c->member : NULL;
	return (!member || ledger_redis_member_decode(member, &c->arena, &c->member, err)) &&
	       (!merge || get_merge(merge, c, err)) && (!life || get_life(life, c, err)) &&
	       (!staging || get_staging(staging, &c->entry.staging, err));
}

static bool decode(struct str content, struct str effects, struct ledger_redis_content *c, struct error *err)
{
	AUTO(pack_doc) *doc = NULL;
	const struct pack_node *root;
	uint64_t entities = 0;

	if (!pack_parse(content, &doc, err) || !pack_is_map(pack_root(doc)))
		return damaged(err, "content");
	root = pack_root(doc);
	if (!get_number(pack_find(root, "revision"), &c->entry.revision) ||
		!get_number(pack_find(root, "forgotten"), &c->forgotten) ||
		!get_number(pack_find(root, "dealings"), &c->entry.dealings) ||
		!get_number(pack_find(root, "entities"), &entities) ||
		!get_flag(pack_find(root, "begins"), &c->entry.life_begins) ||
		!get_flag(pack_find(root, "joins"), &c->entry.joins))
		return damaged(err, "numbers");
	return get_parts(root, c, err) && (!entities || get_entities(effects, entities, c, err));
}

bool ledger_redis_content_decode(
	struct str content, struct str effects, struct ledger_redis_content *ret, struct error *err)
{
	*ret = (struct ledger_redis_content){ .arena = arena_limit(MEMORY_MAX) };
	if (decode(content, effects, ret, err))
		return true;
	ledger_redis_content_fini(ret);
	return false;
}

void ledger_redis_content_fini(struct ledger_redis_content *content)
{
	for (size_t i = 0; i < content->entry.entities_len; i++)
		entity_free(content->entry.entities[i]);
	arena_fini(&content->arena);
	*content = (struct ledger_redis_content){ 0 };
}
