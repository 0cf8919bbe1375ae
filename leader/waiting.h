/* SPDX-License-Identifier: Apache-2.0 */
/*
 * waiting - what a request's context points to while something else owes it its reply.
 *
 * When the request ends first, api's on_done calls on_gone, once; whoever replies takes the context away before.
 */
#pragma once

struct waiting {
	void (*on_gone)(struct waiting *waiting);
};
