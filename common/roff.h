/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roff - text for man(1): whatever it is, it is shown as it is.
 *
 * Pure.   Thread  any.
 */
#pragma once

#include "common/buf.h"

void roff_put(struct str text, struct buf *into);
