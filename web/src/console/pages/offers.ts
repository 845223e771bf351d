import { api, MAX_ROWS, ok, type Schemas } from "@shared/api/client";
import { useQuery } from "@tanstack/react-query";

export type Offer = Schemas["PoolSpecRef"] & { pool: Schemas["PoolOut"]; key: string };

/** What one may start notebooks on: each specification in each pool that is open to one. */
export function useOffers(): Offer[] | undefined {
  const { data } = useQuery({
    queryKey: ["pools", "offered"],
    queryFn: () => ok(api.GET("/api/v1/pools", { params: { query: { limit: MAX_ROWS, role: "renter" } } })),
  });
  return data?.items.flatMap((pool) =>
    pool.notebook_specs.map((spec) => ({ ...spec, pool, key: `${pool.id}/${spec.id}` })),
  );
}
