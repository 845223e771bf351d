import { api, MAX_ROWS, ok, type Schemas } from "@shared/api/client";
import { useQuery } from "@tanstack/react-query";

export type Offer = Schemas["PoolSpecRef"] & { pool: Schemas["PoolOut"]; key: string };

/** What one may start notebooks on: each specification in each pool that is open to one. Not asked until `wanted`. */
export function useOffers(wanted = true): Offer[] | undefined {
  const { data } = useQuery({
    queryKey: ["pools", "offered"],
    queryFn: () => ok(api.GET("/api/v1/pools", { params: { query: { limit: MAX_ROWS, role: "renter" } } })),
    enabled: wanted,
  });
  return data?.items.flatMap((pool) =>
    pool.notebook_specs.map((spec) => ({ ...spec, pool, key: `${pool.id}/${spec.id}` })),
  );
}
