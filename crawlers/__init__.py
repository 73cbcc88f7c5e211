"""URLs to exchanges to bundles, and the frontier that decides who fetches what, when. See README.md."""
