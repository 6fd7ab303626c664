include:
  - course_env.environment
  - course_env.packages
  - course_env.warm
