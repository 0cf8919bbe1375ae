/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pack - msgpack-c behind names of ours.
 *
 * The library allocates for a container what its header claims, and knows no bound on nesting that
 * is ours. So the bytes are walked first, without allocating: what passes the walk is well formed,
 * complete and within the bounds, and the library's own parsing cannot be surprised.
 */
#include "proto/pack.h"

#include <msgpack.h>

#include "common/check.h"
#include "common/gentle.h"

#define NESTING_MAX 16
#define NODES_MAX   (32u * 1024 * 1024)
#define STEP_NODES  1024

struct pack_doc {
	msgpack_unpacked unpacked;
};

/* ---- writing ---- */

static int write_bytes(void *data, const char *bytes, size_t len)
{
	struct buf *into = data;

	buf_append(into, bytes, len);
	return 0;
}

static msgpack_packer packer(struct buf *into)
{
	msgpack_packer pk;

	msgpack_packer_init(&pk, into, write_bytes);
	return pk;
}

static bool fits(struct buf *into, size_t len)
{
	if (len > UINT32_MAX)
		into->failed = true;
	return len <= UINT32_MAX;
}

void pack_map(struct buf *into, size_t pairs)
{
	msgpack_packer pk = packer(into);

	if (fits(into, pairs))
		msgpack_pack_map(&pk, pairs);
}

void pack_array(struct buf *into, size_t len)
{
	msgpack_packer pk = packer(into);

	if (fits(into, len))
		msgpack_pack_array(&pk, len);
}

void pack_str(struct buf *into, struct str s)
{
	msgpack_packer pk = packer(into);

	if (!fits(into, s.len))
		return;
	msgpack_pack_str(&pk, s.len);
	buf_add(into, s);
}

void pack_uint(struct buf *into, uint64_t n)
{
	msgpack_packer pk = packer(into);

	msgpack_pack_uint64(&pk, n);
}

void pack_int(struct buf *into, int64_t n)
{
	msgpack_packer pk = packer(into);

	msgpack_pack_int64(&pk, n);
}

void pack_bool(struct buf *into, bool b)
{
	msgpack_packer pk = packer(into);

	if (b)
		msgpack_pack_true(&pk);
	else
		msgpack_pack_false(&pk);
}

void pack_bin(struct buf *into, struct str bytes)
{
	msgpack_packer pk = packer(into);

	if (!fits(into, bytes.len))
		return;
	msgpack_pack_bin(&pk, bytes.len);
	buf_add(into, bytes);
}

void pack_again(struct buf *into, const struct pack_node *node)
{
	msgpack_packer pk = packer(into);

	msgpack_pack_object(&pk, *(const msgpack_object *)node);
}

/* ---- the walk ---- */

struct walk {
	const uint8_t *at;
	size_t left;
	unsigned nodes;
	unsigned depth;
	uint64_t open[NESTING_MAX]; /* elements that each open container still lacks */
};

static bool walk_failed(const struct walk *w, struct str bytes, const char *why, struct error *err)
{
	return error_set(err, ERROR_INVALID, NULL, "msgpack at byte %zu: %s", bytes.len - w->left, why);
}

static bool walk_skip(struct walk *w, uint64_t len)
{
	if (len > w->left)
		return false;
	w->at += len;
	w->left -= (size_t)len;
	return true;
}

/* A big endian number of `size` bytes. */
static bool walk_number(struct walk *w, unsigned size, uint64_t *ret)
{
	const uint8_t *at = w->at;
	uint64_t n = 0;

	if (!walk_skip(w, size))
		return false;
	for (unsigned i = 0; i < size; i++)
		n = n << 8 | at[i];
	*ret = n;
	return true;
}

/* What follows a type byte: a payload of so many bytes, and so many elements. */
struct shape {
	unsigned len_size; /* bytes of a length field that comes first; 0 = `fixed` says it */
	uint64_t fixed;
	unsigned extra;    /* bytes beside the length: the type of an ext */
	unsigned elements; /* the length counts elements: 1 array, 2 map; 0 = it counts bytes */
};

static bool shape_of(uint8_t type, struct shape *ret)
{
	/* clang-format off */
	static const struct shape shapes[32] = {
		[0x04] = { .len_size = 1 },            [0x05] = { .len_size = 2 }, /* bin 8 16 32 */
		[0x06] = { .len_size = 4 },
		[0x07] = { .len_size = 1, .extra = 1 }, [0x08] = { .len_size = 2, .extra = 1 }, /* ext */
		[0x09] = { .len_size = 4, .extra = 1 },
		[0x0a] = { .fixed = 4 },               [0x0b] = { .fixed = 8 },    /* float */
		[0x0c] = { .fixed = 1 },               [0x0d] = { .fixed = 2 },    /* uint */
		[0x0e] = { .fixed = 4 },               [0x0f] = { .fixed = 8 },
		[0x10] = { .fixed = 1 },               [0x11] = { .fixed = 2 },    /* int */
		[0x12] = { .fixed = 4 },               [0x13] = { .fixed = 8 },
		[0x14] = { .fixed = 1, .extra = 1 },   [0x15] = { .fixed = 2, .extra = 1 }, /* fixext */
		[0x16] = { .fixed = 4, .extra = 1 },   [0x17] = { .fixed = 8, .extra = 1 },
		[0x18] = { .fixed = 16, .extra = 1 },
		[0x19] = { .len_size = 1 },            [0x1a] = { .len_size = 2 }, /* str */
		[0x1b] = { .len_size = 4 },
		[0x1c] = { .len_size = 2, .elements = 1 }, [0x1d] = { .len_size = 4, .elements = 1 },
		[0x1e] = { .len_size = 2, .elements = 2 }, [0x1f] = { .len_size = 4, .elements = 2 },
	};
	/* clang-format on */

	if (type == 0xc1)
		return false;
	if (type < 0x80 || type >= 0xe0)
		*ret = (struct shape){ 0 };
	else if (type < 0x90)
		*ret = (struct shape){ .fixed = type & 0x0f, .elements = 2 };
	else if (type < 0xa0)
		*ret = (struct shape){ .fixed = type & 0x0f, .elements = 1 };
	else if (type < 0xc0)
		*ret = (struct shape){ .fixed = type & 0x1f };
	else
		*ret = shapes[type - 0xc0];
	return true;
}

/* One node's header and payload; its elements, if any, become the innermost open container. */
static bool walk_node(struct walk *w, const char **ret_why)
{
	struct shape shape;
	uint64_t len;
	uint8_t type = w->at[0];

	(void)walk_skip(w, 1);
	*ret_why = "unknown type";
	if (!shape_of(type, &shape))
		return false;
	*ret_why = "ends too early";
	len = shape.fixed;
	if (shape.len_size && !walk_number(w, shape.len_size, &len))
		return false;
	if (!shape.elements)
		return walk_skip(w, len + shape.extra);
	len *= shape.elements;
	*ret_why = "claims more elements than bytes are left";
	if (len > w->left)
		return false;
	*ret_why = "nested too deeply";
	if (w->depth == NESTING_MAX)
		return false;
	w->open[w->depth++] = len;
	return true;
}

/* A node with all that is in it. False with no `why`: it has more nodes than `most`. */
static bool walk_whole(struct walk *w, size_t most, const char **ret_why)
{
	do {
		*ret_why = w->left ? NULL : "ends too early";
		if (!w->left || ++w->nodes > most || !walk_node(w, ret_why))
			return false;
		if (w->nodes % STEP_NODES == 0)
			gentle_step();
		while (w->depth && !w->open[w->depth - 1])
			w->depth--;
		if (w->depth)
			w->open[w->depth - 1]--;
		else
			return true;
	} while (true);
}

static struct walk walk_of(struct str bytes)
{
	return (struct walk){ .at = (const uint8_t *)bytes.at, .left = bytes.len };
}

static bool walk_all(struct str bytes, size_t most_nodes, struct error *err)
{
	struct walk w = walk_of(bytes);
	const char *why;

	if (!walk_whole(&w, most_nodes, &why))
		return why ? walk_failed(&w, bytes, why, err)
			   : error_set(err, ERROR_TOO_LARGE, NULL, "msgpack: over %zu nodes", most_nodes);
	if (w.left)
		return walk_failed(&w, bytes, "something follows the document", err);
	return true;
}

/* ---- node by node ---- */

bool pack_check_within(struct str bytes, size_t most_nodes, struct error *err)
{
	return walk_all(bytes, most_nodes < NODES_MAX ? most_nodes : NODES_MAX, err);
}

static bool open_node(struct str node, unsigned elements, size_t *ret_len, struct str *ret_inside)
{
	struct walk w = walk_of(node);
	struct shape shape;
	const char *why;

	if (!w.left || !shape_of(w.at[0], &shape) || shape.elements != elements || !walk_node(&w, &why))
		return false;
	*ret_len = (size_t)w.open[0] / elements;
	*ret_inside = str_from(node.at + node.len - w.left, w.left);
	return true;
}

bool pack_open_array(struct str node, size_t *ret_len, struct str *ret_inside)
{
	return open_node(node, 1, ret_len, ret_inside);
}

bool pack_open_map(struct str node, size_t *ret_len, struct str *ret_inside)
{
	return open_node(node, 2, ret_len, ret_inside);
}

bool pack_next(struct str *rest, struct str *ret_node)
{
	struct walk w = walk_of(*rest);
	const char *why;

	if (!w.left || !walk_whole(&w, NODES_MAX, &why))
		return false;
	*ret_node = str_from(rest->at, rest->len - w.left);
	*rest = str_from(rest->at + ret_node->len, w.left);
	return true;
}

/* ---- reading ---- */

bool pack_parse(struct str bytes, struct pack_doc **ret_doc, struct error *err)
{
	return pack_parse_within(bytes, NODES_MAX, ret_doc, err);
}

bool pack_parse_within(struct str bytes, size_t most_nodes, struct pack_doc **ret_doc, struct error *err)
{
	AUTO(pack_doc) *doc = NULL;
	size_t off = 0;

	if (!pack_check_within(bytes, most_nodes, err))
		return false;
	doc = xnew(struct pack_doc);
	msgpack_unpacked_init(&doc->unpacked);
	if (msgpack_unpack_next(&doc->unpacked, bytes.at, bytes.len, &off) != MSGPACK_UNPACK_SUCCESS)
		return error_set(err, ERROR_INTERNAL, NULL, "msgpack: no memory for %zu bytes", bytes.len);
	*ret_doc = TAKE(doc);
	return true;
}

void pack_doc_free(struct pack_doc *doc)
{
	if (!doc)
		return;
	msgpack_unpacked_destroy(&doc->unpacked);
	free(doc);
}

static const struct pack_node *node_of(const msgpack_object *object)
{
	return (const struct pack_node *)object;
}

/* The library's object of this type, or NULL. */
static const msgpack_object *object_of(const struct pack_node *node, msgpack_object_type type)
{
	const msgpack_object *object = (const msgpack_object *)node;

	return object && object->type == type ? object : NULL;
}

const struct pack_node *pack_root(const struct pack_doc *doc)
{
	return node_of(&doc->unpacked.data);
}

const struct pack_node *pack_find(const struct pack_node *map, const char *key)
{
	const msgpack_object *object = object_of(map, MSGPACK_OBJECT_MAP);

	for (uint32_t i = 0; object && i < object->via.map.size; i++) {
		const msgpack_object_kv *pair = &object->via.map.ptr[i];
		struct str name;

		if (pack_get_str(node_of(&pair->key), &name) && str_is(name, key))
			return node_of(&pair->val);
	}
	return NULL;
}

size_t pack_len(const struct pack_node *node)
{
	const msgpack_object *object = (const msgpack_object *)node;

	if (object_of(node, MSGPACK_OBJECT_ARRAY))
		return object->via.array.size;
	if (object_of(node, MSGPACK_OBJECT_MAP))
		return object->via.map.size;
	return 0;
}

const struct pack_node *pack_at(const struct pack_node *array, size_t at)
{
	const msgpack_object *object = object_of(array, MSGPACK_OBJECT_ARRAY);

	return object && at < object->via.array.size ? node_of(&object->via.array.ptr[at]) : NULL;
}

void pack_pair(const struct pack_node *map, size_t at, const struct pack_node **ret_key,
	const struct pack_node **ret_value)
{
	const msgpack_object *object = object_of(map, MSGPACK_OBJECT_MAP);

	CHECK(object && at < object->via.map.size);
	*ret_key = node_of(&object->via.map.ptr[at].key);
	*ret_value = node_of(&object->via.map.ptr[at].val);
}

bool pack_get_str(const struct pack_node *node, struct str *ret)
{
	const msgpack_object *object = (const msgpack_object *)node;

	if (object_of(node, MSGPACK_OBJECT_STR))
		*ret = str_from(object->via.str.ptr, object->via.str.size);
	else if (object_of(node, MSGPACK_OBJECT_BIN))
		*ret = str_from(object->via.bin.ptr, object->via.bin.size);
	else
		return false;
	return true;
}

bool pack_get_int(const struct pack_node *node, int64_t *ret)
{
	const msgpack_object *object = (const msgpack_object *)node;

	if (object_of(node, MSGPACK_OBJECT_NEGATIVE_INTEGER))
		*ret = object->via.i64;
	else if (object_of(node, MSGPACK_OBJECT_POSITIVE_INTEGER) && object->via.u64 <= INT64_MAX)
		*ret = (int64_t)object->via.u64;
	else
		return false;
	return true;
}

bool pack_get_uint(const struct pack_node *node, uint64_t *ret)
{
	const msgpack_object *object = object_of(node, MSGPACK_OBJECT_POSITIVE_INTEGER);

	if (!object)
		return false;
	*ret = object->via.u64;
	return true;
}

bool pack_get_bool(const struct pack_node *node, bool *ret)
{
	const msgpack_object *object = object_of(node, MSGPACK_OBJECT_BOOLEAN);

	if (!object)
		return false;
	*ret = object->via.boolean;
	return true;
}

bool pack_is_array(const struct pack_node *node)
{
	return object_of(node, MSGPACK_OBJECT_ARRAY);
}

bool pack_is_map(const struct pack_node *node)
{
	return object_of(node, MSGPACK_OBJECT_MAP);
}
