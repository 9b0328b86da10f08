// The dashboard as Grafana's own types have it; tests/e2e/test_observability.py puts it in and has the compiler look.

import type { Dashboard } from '@grafana/schema';

// An enum's values as they stand in JSON.
type Plain<T> = T extends string ? `${T}` : T extends number | boolean | null | undefined ? T : { [K in keyof T]: Plain<T[K]> };

export const dashboard: Plain<Dashboard> = /* the dashboard */;
