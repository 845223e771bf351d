import { useCallback, useState } from "react";
import { useLocation, useSearchParams } from "react-router-dom";

/** Marks navigations that only write down what a page already shows. */
const OWN = { own: true };

/**
 * A choice that lives in the page's address, so that a reload, a shared link and the way back keep it.
 * With `local` it lives in the component: for lists in dialogs, and for the second list of a page.
 */
export function useAddress<V extends string>(name: string, local = false) {
  const [params, setParams] = useSearchParams();
  const [own, setOwn] = useState<V>();
  const set = useCallback(
    (value: V | undefined) => {
      if (local) return setOwn(value);
      // The address itself, not the last drawn one: two choices made at once both stay.
      const next = new URLSearchParams(window.location.search);
      if (value) next.set(name, value);
      else next.delete(name);
      setParams(next, { replace: true, state: OWN });
    },
    [local, name, setParams],
  );
  return [local ? own : ((params.get(name) as V | null) ?? undefined), set] as const;
}

/** Whether the address narrows what is shown, and how to show all again. The chosen tab stays. */
export function useClearAddress() {
  const [params, setParams] = useSearchParams();
  const tab = params.get("tab");
  const clear = useCallback(() => setParams(tab ? { tab } : {}, { replace: true }), [setParams, tab]);
  return [[...params.keys()].some((key) => key !== "tab" && key !== "sort"), clear] as const;
}

/** Differs after each navigation that somebody made, by a link or the way back; not after one made by `useAddress`. */
export function useArrival(): string | undefined {
  const { key, state } = useLocation();
  return (state as typeof OWN | null)?.own ? undefined : key;
}
