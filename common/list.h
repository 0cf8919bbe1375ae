/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list - things in a row, linked through a member of theirs: in and out in one step, wherever they stand.
 *
 *     struct car { struct list in_queue; ... };      struct list queue;  list_init(&queue);
 *     list_push(&queue, &car->in_queue);             car = LIST_OF(struct car, in_queue, list_first(&queue));
 *
 * A node that is zeroed, or was dropped, is in no list. Thread  owner's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};
/* The thing that has the node; NULL for NULL. */
#define LIST_OF(type, member, node) __extension__({ \
	struct list *node_ = (node); \
	node_ ? (type *)(void *)((char *)node_ - offsetof(type, member)) : NULL; \
})

static inline void list_init(struct list *head)
{
	head->next = head->prev = head;
}

static inline struct list *list_first(const struct list *head)
{
	return head->next == head ? NULL : head->next;
}

static inline struct list *list_last(const struct list *head)
{
	return head->prev == head ? NULL : head->prev;
}

/* At the end. */
static inline void list_push(struct list *head, struct list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

/* At the begin. */
static inline void list_push_first(struct list *head, struct list *node)
{
	list_push(head->next, node);
}

/* for (LIST_EACH(node, head)): the node at hand may not leave the list meanwhile. */
#define LIST_EACH(node, head) struct list *node = (head)->next; node != (head); node = node->next

static inline bool list_has(const struct list *node)
{
	return node->next;
}

/* Out of the list that it is in, if any. */
static inline void list_drop(struct list *node)
{
	if (!node->next)
		return;
	node->prev->next = node->next;
	node->next->prev = node->prev;
	*node = (struct list){ NULL, NULL };
}
