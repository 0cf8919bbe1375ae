/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_suite - what every store has to do, whatever driver it has.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/told_ok.h"
#include "worker/storage/store.h"

static const struct store_version nothing = { .text = "" };
static const struct store_log_place no_log = { .at = 0 };

/* A repository without anything in it. */
void store_suite_create(struct store *store, const char *name);

/* An empty store each time; the suite frees it. */
typedef struct store *store_suite_open_f(void);
/* Runs all; returns how many failed. */
int store_suite_run(store_suite_open_f *open);
/* The same, and tests that are the driver's own, in the folder `top` ("/tmp/x.XXXXXX"), which is made and removed. What main() returns. */
int store_suite_main(char *top, store_suite_open_f *open, const char *name, const struct CMUnitTest *tests, size_t len);
