/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_entity_json - the first byte chooses a kind, the rest is its JSON; what is taken must survive msgpack.
 */
#include "common/check.h"
#include "proto/entity.h"

static const char *const ids[] = { "alice", "zak_12345678", "team/**", "cluster", "ring", "zot-worker-1",
	"developers", "admin", "session", "zot-worker-1", "team/**", "alice", "alice",
	"cosign-0000000000000000000000000000000000000000000000000000000000000000" };
_Static_assert(sizeof(ids) / sizeof(ids[0]) == ENTITY_KINDS, "an id of each kind");

static void survives(const struct entity *entity)
{
	AUTO_FINI(buf) b = buf_limit(2 * ENTITY_BYTES_MAX);
	AUTO(pack_doc) *doc = NULL;
	AUTO(entity) *again = NULL;

	entity_encode(entity, &b);
	CHECK(!b.failed && pack_parse(buf_str(&b), &doc, NULL));
	CHECK(entity_decode(pack_root(doc), &again, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(json_doc) *doc = NULL;
	AUTO(entity) *entity = NULL;
	AUTO(entity) *patched = NULL;
	enum entity_kind kind = size ? (enum entity_kind)(data[0] % ENTITY_KINDS) : ENTITY_USER;

	if (!size || !json_parse(str_from(data + 1, size - 1), &doc, NULL))
		return 0;
	if (!entity_from_json(kind, str_of(ids[kind]), json_root(doc), NULL, &entity, NULL))
		return 0;
	survives(entity);
	if (entity_from_json(kind, str_of(ids[kind]), json_root(doc), entity, &patched, NULL))
		survives(patched);
	return 0;
}
