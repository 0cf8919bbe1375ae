/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check - our own mistakes end the process, at once and with a sentence.
 *
 * CHECK is for what cannot happen if our code is right; never for input, I/O or peers. It is
 * always on. xnew() gives zeroed memory of a fixed, small size and aborts when there is none;
 * sizes that come from outside go through a bounded `buf` instead.
 *
 * Objects that travel through a void pointer begin with `uint32_t magic`:
 *
 *     struct pull { uint32_t magic; ... };      pull->magic = PULL_MAGIC;
 *     struct pull *pull = OBJ_CAST(pull, PULL_MAGIC, arg);
 */
#pragma once

#include <stdint.h>
#include <stdlib.h>

#define CHECK(expr) ((expr) ? (void)0 : check_failed(#expr, __FILE__, __LINE__, __func__))
_Noreturn void check_failed(const char *expr, const char *file, int line, const char *func);

#define MAGIC(a, b, c, d) \
	((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))
#define OBJ_CAST(type, wanted, arg) __extension__({ \
	struct type *obj_ = (arg); \
	CHECK(obj_ && obj_->magic == (wanted)); \
	obj_; \
})

#define xnew(type) ((type *)check_alloc(1, sizeof(type)))
#define xnew_array(type, n) ((type *)check_alloc((n), sizeof(type)))
void *check_alloc(size_t n, size_t size);
/* Not cleared; align is a power of two. */
void *check_aligned(size_t align, size_t size);
char *check_strdup(const char *text);
/* The terminated copy of `len` bytes. */
char *check_strndup(const char *at, size_t len);
