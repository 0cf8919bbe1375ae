/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/entity_tree.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

/* A node with fewer goes into its neighbour, where there is room. */
#define FEW (ENTITY_TREE_WIDTH / 4)

struct item {
	struct entity *first; /* of the node, borrowed from it; of a leaf the entity itself, a reference */
	struct entity_tree *node; /* NULL in a leaf */
};

struct entity_tree {
	atomic_uint refs;
	unsigned len;
	bool leaf;
	size_t count; /* entities below */
	struct item at[ENTITY_TREE_WIDTH];
};

/* ---- nodes ---- */

static struct entity_tree *node_new(bool leaf)
{
	struct entity_tree *node = xnew(struct entity_tree);

	atomic_init(&node->refs, 1);
	node->leaf = leaf;
	return node;
}

struct entity_tree *entity_tree_ref(struct entity_tree *tree)
{
	if (tree)
		atomic_fetch_add_explicit(&tree->refs, 1, memory_order_relaxed);
	return tree;
}

static void item_free(const struct entity_tree *node, struct item item)
{
	if (node->leaf)
		entity_free(item.first);
	else
		entity_tree_free(item.node);
}

void entity_tree_free(struct entity_tree *tree)
{
	if (!tree || atomic_fetch_sub_explicit(&tree->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (unsigned i = 0; i < tree->len; i++)
		item_free(tree, tree->at[i]);
	free(tree);
}

static void recount(struct entity_tree *node)
{
	node->count = node->leaf ? node->len : 0;
	for (unsigned i = 0; !node->leaf && i < node->len; i++)
		node->count += node->at[i].node->count;
}

/* From here on nobody else sees what is changed in it. */
static struct entity_tree *own(struct entity_tree **slot)
{
	struct entity_tree *shared = *slot, *node;

	if (atomic_load_explicit(&shared->refs, memory_order_acquire) == 1)
		return shared;
	node = node_new(shared->leaf);
	node->len = shared->len;
	node->count = shared->count;
	memcpy(node->at, shared->at, shared->len * sizeof(node->at[0]));
	for (unsigned i = 0; i < node->len; i++) {
		if (node->leaf)
			(void)entity_ref(node->at[i].first);
		else
			(void)entity_tree_ref(node->at[i].node);
	}
	entity_tree_free(shared);
	*slot = node;
	return node;
}

static struct item item_of(struct entity_tree *node)
{
	return (struct item){ node->at[0].first, node };
}

static void insert(struct entity_tree *node, unsigned at, struct item item)
{
	CHECK(node->len < ENTITY_TREE_WIDTH && at <= node->len);
	memmove(&node->at[at + 1], &node->at[at], (node->len - at) * sizeof(node->at[0]));
	node->at[at] = item;
	node->len++;
}

static void cut_out(struct entity_tree *node, unsigned at)
{
	node->len--;
	memmove(&node->at[at], &node->at[at + 1], (node->len - at) * sizeof(node->at[0]));
}

/* ---- looking ---- */

struct target {
	const struct entity_order *order;
	struct str key, id;
};

static int compare(const struct entity *entity, const struct target *target)
{
	int order = str_compare(target->order->key(entity), target->key);

	return order ? order : str_compare(entity_id(entity), target->id);
}

/* The first item that is not before the target. */
static unsigned search(const struct entity_tree *node, const struct target *target)
{
	unsigned low = 0, high = node->len;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (compare(node->at[middle].first, target) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_at(const struct entity_tree *node, unsigned at, const struct target *target)
{
	return at < node->len && !compare(node->at[at].first, target);
}

/* The child in which the target is, or would be. */
static unsigned child_of(const struct entity_tree *node, const struct target *target)
{
	unsigned at = search(node, target);

	return at && !is_at(node, at, target) ? at - 1 : at;
}

size_t entity_tree_len(const struct entity_tree *tree)
{
	return tree ? tree->count : 0;
}

struct entity *entity_tree_at(const struct entity_tree *tree, size_t place)
{
	const struct entity_tree *node = tree;
	unsigned at;

	if (place >= entity_tree_len(tree))
		return NULL;
	while (!node->leaf) {
		for (at = 0; place >= node->at[at].node->count; at++)
			place -= node->at[at].node->count;
		node = node->at[at].node;
	}
	return node->at[place].first;
}

static size_t count_before(const struct entity_tree *node, unsigned at)
{
	size_t count = 0;

	for (unsigned i = 0; i < at; i++)
		count += node->at[i].node->count;
	return count;
}

size_t entity_tree_place(
	const struct entity_tree *tree, const struct entity_order *order, struct str key, struct str id)
{
	const struct target target = { order, key, id };
	const struct entity_tree *node = tree;
	size_t place = 0;

	if (!node)
		return 0;
	while (!node->leaf) {
		unsigned at = child_of(node, &target);

		place += count_before(node, at);
		node = node->at[at].node;
	}
	return place + search(node, &target);
}

/* ---- putting ---- */

/* The items from `from` on go into a new node behind it. */
static struct entity_tree *split(struct entity_tree *node, unsigned from)
{
	struct entity_tree *right = node_new(node->leaf);

	right->len = node->len - from;
	memcpy(right->at, &node->at[from], right->len * sizeof(right->at[0]));
	node->len = from;
	return right;
}

/* The node behind it that had to be made, or NULL. What comes at the end leaves a full node behind, so that what comes in its order
 * fills all nodes. */
static struct entity_tree *insert_or_split(struct entity_tree *node, unsigned at, struct item item)
{
	struct entity_tree *right;

	if (node->len < ENTITY_TREE_WIDTH) {
		insert(node, at, item);
		return NULL;
	}
	right = split(node, at == node->len ? at : node->len / 2);
	if (at > node->len || !right->len)
		insert(right, at - node->len, item);
	else
		insert(node, at, item);
	recount(right);
	return right;
}

static struct entity_tree *put_leaf(
	struct entity_tree *leaf, const struct target *target, struct entity *entity)
{
	unsigned at = search(leaf, target);

	(void)entity_ref(entity);
	if (!is_at(leaf, at, target))
		return insert_or_split(leaf, at, (struct item){ .first = entity });
	entity_free(leaf->at[at].first);
	leaf->at[at].first = entity;
	return NULL;
}

/* The node behind *slot that had to be made, or NULL. */
static struct entity_tree *put(struct entity_tree **slot, const struct target *target, struct entity *entity)
{
	struct entity_tree *node = own(slot), *right;

	if (node->leaf) {
		right = put_leaf(node, target, entity);
	} else {
		unsigned at = child_of(node, target);

		right = put(&node->at[at].node, target, entity);
		node->at[at].first = node->at[at].node->at[0].first;
		if (right)
			right = insert_or_split(node, at + 1, item_of(right));
	}
	recount(node);
	return right;
}

void entity_tree_put(struct entity_tree **tree, const struct entity_order *order, struct entity *entity)
{
	const struct target target = { order, order->key(entity), entity_id(entity) };
	struct entity_tree *right, *root;

	if (!*tree)
		*tree = node_new(true);
	right = put(tree, &target, entity);
	if (!right)
		return;
	root = node_new(false);
	insert(root, 0, item_of(*tree));
	insert(root, 1, item_of(right));
	recount(root);
	*tree = root;
}

/* ---- removing ---- */

static bool fits(const struct entity_tree *node, unsigned left)
{
	return left + 1 < node->len &&
	       node->at[left].node->len + node->at[left + 1].node->len <= ENTITY_TREE_WIDTH;
}

/* The child behind `left` goes into it. */
static void join(struct entity_tree *node, unsigned left)
{
	struct entity_tree *into = own(&node->at[left].node), *from = own(&node->at[left + 1].node);

	memcpy(&into->at[into->len], from->at, from->len * sizeof(into->at[0]));
	into->len += from->len;
	recount(into);
	from->len = 0;
	entity_tree_free(from);
	cut_out(node, left + 1);
}

/* Something went out of this child. */
static void tidy(struct entity_tree *node, unsigned at)
{
	struct entity_tree *child = node->at[at].node;

	if (!child->len) {
		entity_tree_free(child);
		cut_out(node, at);
		return;
	}
	node->at[at].first = child->at[0].first;
	if (child->len >= FEW)
		return;
	if (fits(node, at))
		join(node, at);
	else if (at && fits(node, at - 1))
		join(node, at - 1);
}

static void take_out(struct entity_tree **slot, const struct target *target)
{
	struct entity_tree *node = own(slot);
	unsigned at;

	if (node->leaf) {
		at = search(node, target);
		entity_free(node->at[at].first);
		cut_out(node, at);
	} else {
		at = child_of(node, target);
		take_out(&node->at[at].node, target);
		tidy(node, at);
	}
	recount(node);
}

/* A root of one child is none. */
static void lower(struct entity_tree **tree)
{
	while (*tree && (*tree)->len < 2 && (!(*tree)->leaf || !(*tree)->len)) {
		struct entity_tree *root = *tree;

		*tree = root->len ? entity_tree_ref(root->at[0].node) : NULL;
		entity_tree_free(root);
	}
}

void entity_tree_remove(
	struct entity_tree **tree, const struct entity_order *order, struct str key, struct str id)
{
	const struct target target = { order, key, id };
	struct entity *found = entity_tree_at(*tree, entity_tree_place(*tree, order, key, id));

	if (!found || compare(found, &target) != 0)
		return;
	take_out(tree, &target);
	lower(tree);
}
