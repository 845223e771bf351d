import { QueryClientProvider } from "@tanstack/react-query";
import { render } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { ConfigProvider } from "antd";
import type { ReactNode } from "react";
import { BrowserRouter } from "react-router-dom";
import { setCsrf } from "../shared/api/client";
import { queryClient } from "../shared/query";
import { type Session, SessionGate } from "../shared/session";
import { Theme } from "../shared/theme";
import { server } from "./api";
import { widen } from "./dom";
import * as make from "./make";

const COLOURS = { light: "#3454d1", lightHover: "#2743b0", dark: "#7d97ff", darkHover: "#a5b8ff", tint: "#eef2ff" };

interface Options {
  /** The page's address: path and query. */
  at?: string;
  /** Who is logged in. */
  as?: Session;
  /** How wide the screen is, in pixels. */
  width?: number;
}

/** Draw something as both ends do: with look, language, address, session and the pages' own store of queries. */
export function show(ui: ReactNode, { at = "/", as = make.session(), width = 1280 }: Options = {}) {
  widen(width);
  window.history.replaceState(null, "", at);
  setCsrf(as.csrf_token);
  queryClient.setQueryData(["session"], as);
  server.on("get", "/api/v1/auth/session", as);
  return draw(
    <SessionGate login={<p>Nobody is logged in.</p>} waiting={<p>Waiting for the session.</p>}>
      {ui}
    </SessionGate>,
  );
}

/** The same for what stands outside the session: the login, the gate itself. */
export function draw(ui: ReactNode) {
  const user = userEvent.setup({ delay: null });
  return {
    user,
    ...render(
      <QueryClientProvider client={queryClient}>
        <ConfigProvider theme={{ zeroRuntime: true }}>
          <Theme colours={COLOURS}>
            <BrowserRouter>{ui}</BrowserRouter>
          </Theme>
        </ConfigProvider>
      </QueryClientProvider>,
    ),
  };
}
