/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_suite - what every store has to do, whatever driver it has.
 */
#pragma once

#include "worker/storage/store.h"

/* An empty store each time; the suite frees it. */
typedef struct store *store_suite_open_f(void);
/* Runs all; returns how many failed. */
int store_suite_run(store_suite_open_f *open);
