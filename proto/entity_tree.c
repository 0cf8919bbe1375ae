/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/entity_tree.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/gentle.h"

/* A node with fewer goes into its neighbour, where there is room. */
#define FEW (ENTITY_TREE_WIDTH / 4)

/* How a key begins: most comparisons need no look at the entity, which is somewhere else in memory. */
static uint64_t head_of(struct str key, size_t from)
{
	uint64_t head = 0;

	for (size_t i = from; i < from + sizeof(head); i++)
		head = head << 8 | (i < key.len ? (uint8_t)key.at[i] : 0);
	return head;
}

struct item {
	uint64_t head;        /* of the key of `first` */
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
	gentle_step();
}

/* Looks at each child: seldom. */
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
	return (struct item){ node->at[0].head, node->at[0].first, node };
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
	uint64_t head;
};

static struct target target_of(const struct entity_order *order, struct str key, struct str id)
{
	return (struct target){ order, key, id, head_of(key, 0) };
}

static int compare(const struct entity *entity, const struct target *target)
{
	int order = str_compare(target->order->key(entity), target->key);

	return order ? order : str_compare(entity_id(entity), target->id);
}

static int compare_item(const struct item *item, const struct target *target)
{
	if (item->head != target->head)
		return item->head < target->head ? -1 : 1;
	return compare(item->first, target);
}

/* The first item that is not before the target. */
static unsigned search(const struct entity_tree *node, const struct target *target)
{
	unsigned low = 0, high = node->len;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (compare_item(&node->at[middle], target) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_at(const struct entity_tree *node, unsigned at, const struct target *target)
{
	return at < node->len && !compare_item(&node->at[at], target);
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
	const struct target target = target_of(order, key, id);
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

struct entity *entity_tree_find(
	const struct entity_tree *tree, const struct entity_order *order, struct str key, struct str id)
{
	const struct target target = target_of(order, key, id);
	const struct entity_tree *node = tree;
	struct entity *behind = NULL; /* the first one behind the node */
	unsigned at;

	if (!node)
		return NULL;
	while (!node->leaf) {
		at = child_of(node, &target);
		if (at + 1 < node->len)
			behind = node->at[at + 1].first;
		node = node->at[at].node;
	}
	at = search(node, &target);
	return at < node->len ? node->at[at].first : behind;
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
 * fills all nodes. Counts are right only where one was made. */
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
	recount(node);
	recount(right);
	return right;
}

struct putting {
	struct target target;
	struct entity *entity;
	bool added; /* there was none of its name */
};

static struct entity_tree *put_leaf(struct entity_tree *leaf, struct putting *putting)
{
	unsigned at = search(leaf, &putting->target);

	(void)entity_ref(putting->entity);
	putting->added = !is_at(leaf, at, &putting->target);
	leaf->count += putting->added;
	if (putting->added)
		return insert_or_split(
			leaf, at, (struct item){ .head = putting->target.head, .first = putting->entity });
	entity_free(leaf->at[at].first);
	leaf->at[at].first = putting->entity;
	return NULL;
}

/* The node behind *slot that had to be made, or NULL. */
static struct entity_tree *put(struct entity_tree **slot, struct putting *putting)
{
	struct entity_tree *node = own(slot), *right;
	unsigned at;

	if (node->leaf)
		return put_leaf(node, putting);
	at = child_of(node, &putting->target);
	right = put(&node->at[at].node, putting);
	node->at[at] = item_of(node->at[at].node);
	node->count += putting->added;
	return right ? insert_or_split(node, at + 1, item_of(right)) : NULL;
}

void entity_tree_put(struct entity_tree **tree, const struct entity_order *order, struct entity *entity)
{
	struct putting putting = { target_of(order, order->key(entity), entity_id(entity)), entity, false };
	struct entity_tree *right, *root;

	if (!*tree)
		*tree = node_new(true);
	right = put(tree, &putting);
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
	into->count += from->count;
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
	node->at[at] = item_of(child);
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
	node->count--;
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
	const struct target target = target_of(order, key, id);
	struct entity *found = entity_tree_find(*tree, order, key, id);

	if (!found || compare(found, &target) != 0)
		return;
	take_out(tree, &target);
	lower(tree);
}

/* ---- many at once ---- */

/* A change of one costs about as much as to walk over so many of them. */
#define FEW_OF 16

static struct entity **list_out(const struct entity_tree *node, struct entity **into)
{
	for (unsigned i = 0; i < node->len; i++) {
		if (node->leaf)
			*into++ = node->at[i].first;
		else
			into = list_out(node->at[i].node, into);
	}
	return into;
}

void entity_tree_list(const struct entity_tree *tree, struct entity **into)
{
	if (tree)
		(void)list_out(tree, into);
}

static int compare_two(const struct entity_order *order, const struct entity *a, const struct entity *b)
{
	int keys = str_compare(order->key(a), order->key(b));

	return keys ? keys : str_compare(entity_id(a), entity_id(b));
}

/* All that stays and all that comes, in their order. */
static size_t merge(const struct entity_list *old, const struct entity_order *order,
	const struct entity_list *gone, const struct entity_list *came, struct entity **into)
{
	size_t len = 0, skipped = 0, taken = 0;

	for (size_t i = 0; i < old->len; i++) {
		gentle_step();
		if (skipped < gone->len && gone->at[skipped] == old->at[i]) {
			skipped++;
			continue;
		}
		while (taken < came->len && compare_two(order, came->at[taken], old->at[i]) < 0)
			into[len++] = came->at[taken++];
		into[len++] = old->at[i];
	}
	while (taken < came->len)
		into[len++] = came->at[taken++];
	CHECK(skipped == gone->len);
	return len;
}

static struct entity_tree *leaf_of(const struct entity_order *order, struct entity *const *at, size_t len)
{
	struct entity_tree *leaf = node_new(true);

	gentle_step();
	leaf->len = (unsigned)len;
	leaf->count = len;
	for (size_t i = 0; i < len; i++)
		leaf->at[i] =
			(struct item){ .head = head_of(order->key(at[i]), 0), .first = entity_ref(at[i]) };
	return leaf;
}

static struct entity_tree *parent_of(struct entity_tree *const *nodes, size_t len)
{
	struct entity_tree *parent = node_new(false);

	parent->len = (unsigned)len;
	for (size_t i = 0; i < len; i++) {
		parent->at[i] = item_of(nodes[i]);
		parent->count += nodes[i]->count;
	}
	return parent;
}

/* How many of the next items one node gets, of so many that are left: what is behind it must not be one alone. */
static size_t share(size_t left)
{
	return left <= ENTITY_TREE_WIDTH       ? left
	       : left == ENTITY_TREE_WIDTH + 1 ? ENTITY_TREE_WIDTH - 1
					       : ENTITY_TREE_WIDTH;
}

/* One level after the other, from the leaves on. */
static struct entity_tree *build(const struct entity_order *order, struct entity *const *at, size_t len)
{
	struct entity_tree **nodes = xnew_array(struct entity_tree *, len / (ENTITY_TREE_WIDTH - 1) + 2);
	struct entity_tree *root;
	size_t nodes_len = 0, parents;

	for (size_t i = 0, some; i < len; i += some) {
		some = share(len - i);
		nodes[nodes_len++] = leaf_of(order, at + i, some);
	}
	while (nodes_len > 1) {
		parents = 0;
		for (size_t i = 0, some; i < nodes_len; i += some) {
			some = share(nodes_len - i);
			nodes[parents++] = parent_of(nodes + i, some);
		}
		nodes_len = parents;
	}
	root = nodes_len ? nodes[0] : NULL;
	free(nodes);
	return root;
}

static void build_anew(struct entity_tree **tree, const struct entity_order *order,
	const struct entity_list *gone, const struct entity_list *came)
{
	size_t there = entity_tree_len(*tree), len;
	struct entity_list old = { xnew_array(struct entity *, there + 1), there };
	struct entity **all = xnew_array(struct entity *, there + came->len + 1);
	struct entity_tree *built;

	entity_tree_list(*tree, old.at);
	len = merge(&old, order, gone, came, all);
	built = build(order, all, len);
	free(all);
	free(old.at);
	entity_tree_free(*tree);
	*tree = built;
}

void entity_tree_merge(struct entity_tree **tree, const struct entity_order *order,
	const struct entity_list *gone, const struct entity_list *came)
{
	size_t next = 0;

	if ((gone->len + came->len) * FEW_OF >= entity_tree_len(*tree)) {
		build_anew(tree, order, gone, came);
		return;
	}
	for (size_t i = 0; i < gone->len; i++) {
		while (next < came->len && compare_two(order, came->at[next], gone->at[i]) < 0)
			next++;
		/* What comes in its place is put over it. */
		if (next == came->len || compare_two(order, came->at[next], gone->at[i]) != 0)
			entity_tree_remove(tree, order, order->key(gone->at[i]), entity_id(gone->at[i]));
	}
	for (size_t i = 0; i < came->len; i++)
		entity_tree_put(tree, order, came->at[i]);
}

/* ---- sorting ---- */

/* `head` is what the key has behind what all keys begin with: few entities are looked at to compare two. */
struct sortable {
	uint64_t head;
	struct entity *entity;
	size_t place;
};

static int compare_sortable(const void *a, const void *b, void *order_of_them)
{
	const struct sortable *x = a, *y = b;
	int order;

	if (x->head != y->head)
		return x->head < y->head ? -1 : 1;
	order = compare_two(order_of_them, x->entity, y->entity);
	return order ? order : (x->place > y->place) - (x->place < y->place);
}

static size_t common(struct str a, struct str b, size_t most)
{
	size_t len = 0;

	while (len < most && len < a.len && len < b.len && a.at[len] == b.at[len])
		len++;
	return len;
}

static bool is_sorted(const struct entity_list *list, const struct entity_order *order)
{
	for (size_t i = 1; i < list->len; i++)
		if (compare_two(order, list->at[i - 1], list->at[i]) > 0)
			return false;
	return true;
}

void entity_list_sort(struct entity_list *list, const struct entity_order *order)
{
	struct sortable *all;
	struct str first;
	size_t same;

	if (is_sorted(list, order))
		return;
	all = xnew_array(struct sortable, list->len);
	first = order->key(list->at[0]);
	same = first.len;
	for (size_t i = 1; i < list->len; i++)
		same = common(first, order->key(list->at[i]), same);
	for (size_t i = 0; i < list->len; i++)
		all[i] = (struct sortable){ head_of(order->key(list->at[i]), same), list->at[i], i };
	qsort_r(all, list->len, sizeof(*all), compare_sortable, (void *)(uintptr_t)order);
	for (size_t i = 0; i < list->len; i++)
		list->at[i] = all[i].entity;
	free(all);
}
